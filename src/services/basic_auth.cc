#include "services/basic_auth.h"

#include <fmt/format.h>

#include <utility>

#include "net/blocking_pool.h"
#include "services/crypto.h"
#include "services/password.h"

namespace heddle::services {
namespace {

constexpr Nanoseconds kRemembered = Nanoseconds{300} * 1'000'000'000;
constexpr std::size_t kMaxRemembered = 10'000;
// Beyond it a flood of guesses would keep names and files waiting.
constexpr std::size_t kMaxHashing = 16;

AuthOutcome accepted(const std::string& user) {
  AuthOutcome out{.subject = user};
  append_json_string(out.user_json, user);
  out.user_json = fmt::format(R"({{"sub":{0},"name":{0}}})", out.user_json);
  return out;
}

}  // namespace

Result<std::shared_ptr<BasicAuth>> BasicAuth::create(BasicOptions options,
                                                     net::BlockingPool& blocking) {
  for (const auto& [user, hash] : options.users) {
    if (is_password_hash(hash)) continue;
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("auth.users.{}: not a password hash; Argon2 ($argon2id$…) and bcrypt "
                            "($2y$…) are understood",
                            user));
  }
  auto key = crypto_random(32);
  if (!key) return std::unexpected(std::move(key.error()));
  return std::make_shared<BasicAuth>(std::move(options), blocking, std::move(*key));
}

bool BasicAuth::is_remembered(const std::string& mark) {
  const std::lock_guard lock(mutex_);
  const auto found = remembered_.find(mark);
  return found != remembered_.end() && monotonic_now() < found->second;
}

void BasicAuth::remember(const std::string& mark) {
  const std::lock_guard lock(mutex_);
  if (remembered_.size() >= kMaxRemembered) remembered_.clear();
  remembered_[mark] = monotonic_now() + kRemembered;
}

bool BasicAuth::check(const std::string& user, const std::string& password) const {
  const auto known = options_.users.find(user);
  if (known != options_.users.end()) return verify_password(known->second, password);
  // As long as for a user that exists.
  verify_password(options_.users.begin()->second, password);
  return false;
}

void BasicAuth::verify(const std::string& credentials,
                       const std::shared_ptr<Completion<AuthOutcome>>& completion,
                       const std::string& www_authenticate) {
  const auto refuse = [&](int status, std::string reason) {
    completion->finish(AuthOutcome{.status = status,
                                   .www_authenticate = status == 401 ? www_authenticate : "",
                                   .reason = std::move(reason)});
  };
  const auto text = from_base64(credentials);
  const std::size_t colon = text ? text->find(':') : std::string::npos;
  if (colon == std::string::npos)
    return refuse(401, "the credentials are not base64 of user:password");
  std::string user = text->substr(0, colon);
  const std::string mark = crypto_hmac(HashAlgorithm::kSha256, key_, *text);
  if (is_remembered(mark)) return completion->finish(accepted(user));
  {
    const std::lock_guard lock(mutex_);
    if (hashing_ >= kMaxHashing) return refuse(503, "too many passwords are being checked");
    ++hashing_;
  }
  blocking_.submit([self = shared_from_this(), completion, mark, www_authenticate,
                    user = std::move(user), password = text->substr(colon + 1)] {
    const bool good = !completion->cancelled() && self->check(user, password);
    if (good) self->remember(mark);
    {
      const std::lock_guard lock(self->mutex_);
      --self->hashing_;
    }
    completion->finish(good ? accepted(user)
                            : AuthOutcome{.status = 401,
                                          .www_authenticate = www_authenticate,
                                          .reason = "wrong user or password"});
  });
}

}  // namespace heddle::services
