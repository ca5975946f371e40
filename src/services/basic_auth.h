// Verification of a user's password for basic authentication (RFC 7617). Hashing takes long by
// intent, so it runs on the blocking pool, few at a time; who was verified is remembered for some
// minutes, as a keyed hash of the credentials. Guesses are counted (login_guard.h); requests with
// the same credentials that come together are one. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "services/login_guard.h"
#include "services/user_auth.h"

namespace heddle::services {

class BasicAuth : public std::enable_shared_from_this<BasicAuth> {
 public:
  // kInvalidArgument names a user whose hash is none.
  static Result<std::shared_ptr<BasicAuth>> create(BasicOptions options,
                                                   net::BlockingPool& blocking);
  BasicAuth(BasicOptions options, net::BlockingPool& blocking, std::string key)
      : options_(std::move(options)),
        blocking_(blocking),
        key_(std::move(key)),
        guard_(options_.failures, options_.lockout) {}

  // `credentials`: what follows "Basic ". Accepted or not, without the header of a 401.
  void verify(const std::string& credentials, const std::string& address,
              const std::shared_ptr<Completion<AuthOutcome>>& completion,
              const std::string& www_authenticate);

 private:
  using Waiting = std::vector<std::shared_ptr<Completion<AuthOutcome>>>;
  struct Guess {
    std::string user;
    std::string password;
    std::string address;
    std::string mark;  // of the credentials
  };
  // Decides what needs no hashing; nothing: the guess is to be hashed.
  std::optional<AuthOutcome> decide(const Guess& guess,
                                    const std::shared_ptr<Completion<AuthOutcome>>& completion,
                                    bool& joined);
  void hash(const Guess& guess, const std::string& www_authenticate);
  bool check(const std::string& user, const std::string& password) const;

  const BasicOptions options_;
  net::BlockingPool& blocking_;
  const std::string key_;
  LoginGuard guard_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, Nanoseconds> remembered_;
  std::map<std::string, Waiting> hashing_;  // by mark
};

}  // namespace heddle::services
