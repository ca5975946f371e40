// Basic authentication (RFC 7617) with lock-out. Thread-safe: check() runs on the admin worker and
// does not block, verify() hashes the password and belongs on a blocking thread.
//
// Five failures within a minute lock an address (of IPv6: its /64 network) for 15 minutes, as in
// Loom.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace heddle::admin {

class Authenticator {
 public:
  static constexpr std::size_t kMaxFailures = 5;
  static constexpr std::chrono::seconds kWindow{60};
  static constexpr std::chrono::seconds kLockOut{15 * 60};

  enum class Verdict : std::uint8_t { kAllowed, kRefused, kLocked };
  struct Decision {
    Verdict verdict = Verdict::kRefused;
    std::chrono::seconds retry_after{0};  // of kLocked
    std::string user;                     // of kAllowed
  };

  // Fails when there is no user, or when a hash is neither Argon2 nor bcrypt, naming the user.
  static Result<std::unique_ptr<Authenticator>> create(std::map<std::string, std::string> users);

  // Decides what needs no hashing: no credentials, a locked address, credentials that were verified
  // before. Nothing: call verify() with the same header and address, exactly once; the attempt
  // counts as under way until then.
  std::optional<Decision> check(std::string_view authorization, std::string_view remote_ip,
                                Nanoseconds now);
  Decision verify(std::string_view authorization, std::string_view remote_ip, Nanoseconds now);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Attempt {
    Digest digest;
    int count = 0;  // requests with the same credentials: one guess
  };
  struct Address {
    std::vector<Nanoseconds> failures;  // within the window
    std::vector<Attempt> under_way;
    Nanoseconds locked_until = 0;

    void forget_failures_before(Nanoseconds time);
  };

  explicit Authenticator(std::map<std::string, std::string> users);
  Digest digest(std::string_view text) const;
  const std::string* remembered(const Digest& digest) const;
  bool verify_user(const std::string& user, std::string_view password) const;
  Address& address_of(std::string_view remote_ip, Nanoseconds now);

  const std::map<std::string, std::string> users_;
  std::array<unsigned char, 32> key_{};  // of the digests; new in every process

  std::mutex mutex_;
  std::vector<std::pair<Digest, std::string>> verified_;  // right credentials, and whose they are
  std::unordered_map<std::string, Address> addresses_;
};

}  // namespace heddle::admin
