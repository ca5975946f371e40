// Verification of a user's password for basic authentication (RFC 7617). Hashing takes long by
// intent, so it runs on the blocking pool, few at a time; who was verified is remembered for some
// minutes, as a keyed hash of the credentials.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "services/user_auth.h"

namespace heddle::services {

class BasicAuth : public std::enable_shared_from_this<BasicAuth> {
 public:
  // kInvalidArgument names a user whose hash is none.
  static Result<std::shared_ptr<BasicAuth>> create(BasicOptions options,
                                                   net::BlockingPool& blocking);
  BasicAuth(BasicOptions options, net::BlockingPool& blocking, std::string key)
      : options_(std::move(options)), blocking_(blocking), key_(std::move(key)) {}

  // `credentials`: what follows "Basic ". Accepted or not, without the header of a 401.
  void verify(const std::string& credentials,
              const std::shared_ptr<Completion<AuthOutcome>>& completion,
              const std::string& www_authenticate);

 private:
  bool is_remembered(const std::string& mark);
  void remember(const std::string& mark);
  bool check(const std::string& user, const std::string& password) const;

  const BasicOptions options_;
  net::BlockingPool& blocking_;
  const std::string key_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, Nanoseconds> remembered_;
  std::size_t hashing_ = 0;
};

}  // namespace heddle::services
