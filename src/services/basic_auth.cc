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

// A name as a client gave it, for a line of the log.
std::string quoted(std::string_view user) {
  std::string out;
  append_json_string(out, user.substr(0, 64));
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

bool BasicAuth::check(const std::string& user, const std::string& password) const {
  const auto known = options_.users.find(user);
  if (known != options_.users.end()) return verify_password(known->second, password);
  // As long as for a user that exists.
  verify_password(options_.users.begin()->second, password);
  return false;
}

void BasicAuth::verify(const std::string& credentials, const std::string& address,
                       const std::shared_ptr<Completion<AuthOutcome>>& completion,
                       const std::string& www_authenticate) {
  const auto text = from_base64(credentials);
  const std::size_t colon = text ? text->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    return completion->finish(
        AuthOutcome{.status = 401,
                    .www_authenticate = www_authenticate,
                    .reason = "the credentials are not base64 of user:password"});
  }
  const Guess guess{.user = text->substr(0, colon),
                    .password = text->substr(colon + 1),
                    .address = address,
                    .mark = crypto_hmac(HashAlgorithm::kSha256, key_, *text)};
  bool joined = false;
  if (auto outcome = decide(guess, completion, joined)) {
    return completion->finish(std::move(*outcome));
  }
  if (!joined) hash(guess, www_authenticate);
}

// A lock-out comes before what is remembered: who is locked out must not learn that a guess is
// right.
std::optional<AuthOutcome> BasicAuth::decide(
    const Guess& guess, const std::shared_ptr<Completion<AuthOutcome>>& completion, bool& joined) {
  const Nanoseconds now = monotonic_now();
  const std::lock_guard lock(mutex_);
  if (const auto same = hashing_.find(guess.mark); same != hashing_.end()) {
    joined = true;
    same->second.push_back(completion);
    return std::nullopt;
  }
  const auto found = remembered_.find(guess.mark);
  const bool known = found != remembered_.end() && now < found->second;
  const bool full = !known && hashing_.size() >= kMaxHashing;
  // Only what is hashed is an attempt.
  const LoginGuard::Admission admission = known || full
                                              ? guard_.look(guess.user, guess.address, known, now)
                                              : guard_.begin(guess.user, guess.address, now);
  if (admission.wait.count() > 0) {
    return AuthOutcome{
        .status = 429,
        .retry_after = std::chrono::ceil<std::chrono::seconds>(admission.wait),
        .reason = admission.locked
                      ? fmt::format("{} is locked out at {}: too many wrong passwords",
                                    quoted(guess.user), guess.address)
                      : fmt::format("too many passwords of {} at {} are being checked at once",
                                    quoted(guess.user), guess.address)};
  }
  if (full) return AuthOutcome{.status = 503, .reason = "too many passwords are being checked"};
  if (known) return accepted(guess.user);
  hashing_[guess.mark].push_back(completion);
  return std::nullopt;
}

void BasicAuth::hash(const Guess& guess, const std::string& www_authenticate) {
  blocking_.submit([self = shared_from_this(), guess, www_authenticate] {
    const bool good = self->check(guess.user, guess.password);
    Waiting waiting;
    {
      const std::lock_guard lock(self->mutex_);
      waiting = std::move(self->hashing_[guess.mark]);
      self->hashing_.erase(guess.mark);
      const Nanoseconds now = monotonic_now();
      self->guard_.end(guess.user, guess.address,
                       good ? LoginGuard::End::kSucceeded : LoginGuard::End::kFailed, now);
      if (good) {
        if (self->remembered_.size() >= kMaxRemembered) self->remembered_.clear();
        self->remembered_[guess.mark] = now + kRemembered;
      }
    }
    for (const auto& completion : waiting) {
      completion->finish(
          good ? accepted(guess.user)
               : AuthOutcome{.status = 401,
                             .www_authenticate = www_authenticate,
                             .reason = fmt::format("wrong password of {}, or no such user",
                                                   quoted(guess.user))});
    }
  });
}

}  // namespace heddle::services
