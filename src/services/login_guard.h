// Against password guessing: counts attempts that failed, by account and address together, by
// address, and by account. Whether an account exists makes no difference. Of an IPv6 address its
// /64 network counts, as one client has all of that. Any thread.
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

  // wait 0: go ahead, and call end() once. Else how long to wait: `locked` after failures; not
  // locked when so many attempts are under way that they could all fail, so that many at once are
  // no way around.
  struct Admission {
    std::chrono::nanoseconds wait{0};
    bool locked = false;
  };
  Admission begin(const std::string& username, const std::string& address, Nanoseconds now);
  // Whether it is locked, without an attempt; `passed`: of somebody who is known, so that the row
  // of failures ends if it is not.
  Admission look(const std::string& username, const std::string& address, bool passed,
                 Nanoseconds now);
  // kUnknown: nobody looked at the password.
  enum class End : std::uint8_t { kSucceeded, kFailed, kUnknown };
  void end(const std::string& username, const std::string& address, End how, Nanoseconds now);

 private:
  static constexpr std::size_t kMaxKeys = 100'000;
  struct Count {
    std::uint32_t failed = 0;
    std::uint32_t under_way = 0;
    Nanoseconds until = 0;  // failures are forgotten then
    bool idle(Nanoseconds now) const { return under_way == 0 && (failed == 0 || until <= now); }
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
