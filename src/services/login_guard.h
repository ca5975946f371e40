// Against password guessing: counts attempts that did not succeed, by account and address together,
// by address, and by account. Whether an account exists makes no difference. An attempt counts from
// its beginning, so that many at once are no way around. Of an IPv6 address its /64 network counts,
// as one client has all of that. Any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace heddle::services {

class LoginGuard {
 public:
  // After `failures` in a row: locked for `lockout`. An address may fail 4 times as often over all
  // accounts, an account 20 times as often over all addresses. 0 failures: never locked.
  LoginGuard(std::uint32_t failures, std::chrono::nanoseconds lockout)
      : failures_(failures), lockout_(lockout) {}

  // 0: go ahead, and call succeeded() if so. Else how long it is locked.
  std::chrono::nanoseconds begin(const std::string& username, const std::string& address,
                                 Nanoseconds now);
  // The same without an attempt.
  std::chrono::nanoseconds locked(const std::string& username, const std::string& address,
                                  Nanoseconds now);
  void succeeded(const std::string& username, const std::string& address);

 private:
  static constexpr std::size_t kMaxKeys = 100'000;
  struct Count {
    std::uint32_t attempts = 0;
    Nanoseconds until = 0;  // forgotten then
  };
  using Keys = std::array<std::string, 3>;
  static Keys keys_of(const std::string& username, const std::string& address);

  // With mutex_ held.
  Nanoseconds longest_lock(const Keys& keys, Nanoseconds now) const;

  const std::uint32_t failures_;
  const std::chrono::nanoseconds lockout_;
  std::mutex mutex_;
  std::unordered_map<std::string, Count> counts_;  // guarded by mutex_
};

}  // namespace heddle::services
