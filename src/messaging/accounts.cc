// Who somebody is: registering, logging in and out, tokens.
#include <sodium.h>

#include <algorithm>

#include "messaging/service.h"
#include "services/crypto.h"

namespace heddle::messaging {
namespace {

constexpr std::size_t kMaxUsername = 64;
constexpr std::size_t kMinPassword = 8;
constexpr std::size_t kMaxPassword = 1'024;
constexpr std::size_t kTokenBytes = 32;

std::string hash_of(std::string_view token) {
  std::string out(crypto_generichash_BYTES, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(out.data()), out.size(),
                     reinterpret_cast<const unsigned char*>(token.data()), token.size(), nullptr,
                     0);
  return out;
}

std::int64_t now_ms() {
  return wall_now() / 1'000'000;
}

bool is_username(std::string_view name) {
  return !name.empty() && name.size() <= kMaxUsername && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::unexpected<Refusal> unauthorized() {
  return refuse(401, "unauthorized", "the token is missing, wrong or has ended; log in again");
}

Refusal refusal_of(const services::LoginGuard::Admission& refused) {
  return {.status = 429,
          .code = refused.locked ? "locked" : "rate_limited",
          .message = refused.locked ? "too many failed logins; try again later"
                                    : "too many logins at once; wait a little",
          .retry_after =
              static_cast<int>(std::chrono::ceil<std::chrono::seconds>(refused.wait).count())};
}

}  // namespace

Outcome<void> MessageService::limit(RateLimiter& limiter, const std::string& key,
                                    std::uint32_t count) {
  const auto wait = limiter.take(key, count, monotonic_now());
  if (wait.count() <= 0) return {};
  limited_->add();
  Refusal out{.status = 429, .code = "rate_limited", .message = "too many requests; wait a little"};
  out.retry_after = static_cast<int>(std::chrono::ceil<std::chrono::seconds>(wait).count());
  return std::unexpected(std::move(out));
}

Outcome<void> MessageService::check_registration(const std::string& username,
                                                 const std::string& password,
                                                 const std::string& address) {
  if (!settings_.registration) {
    return refuse(403, "registration_closed",
                  "this server takes no new accounts (messaging.registration)");
  }
  if (!is_username(username)) {
    return refuse(400, "bad_username",
                  "a username has 1 to 64 letters, digits, dots, dashes and underscores");
  }
  if (password.size() < kMinPassword || password.size() > kMaxPassword) {
    return refuse(400, "bad_password", "a password has 8 to 1024 bytes");
  }
  return limit(address_rate_, address, 1);
}

Task<Outcome<Account>> MessageService::register_account(net::Worker& worker, std::string username,
                                                        std::string password,
                                                        std::string identity_key,
                                                        std::string address) {
  if (auto right = check_registration(username, password, address); !right) {
    co_return std::unexpected(std::move(right.error()));
  }
  auto hash = co_await Answer<Result<std::string>>(
      worker, [&](auto done) { passwords_.hash(std::move(password), std::move(done)); });
  if (!hash) co_return std::unexpected(refusal_of(hash.error()));
  auto made = co_await Answer<Result<Account>>(worker, [&](auto done) {
    storage_->create_account({.username = username,
                              .identity_key = std::move(identity_key),
                              .password_hash = std::move(*hash)},
                             std::move(done));
  });
  if (!made) {
    Refusal out = refusal_of(made.error());
    if (made.error().message == kUsernameTaken) out.code = "username_taken";
    if (made.error().message == kIdentityTaken) out.code = "identity_taken";
    co_return std::unexpected(std::move(out));
  }
  hooks_.current()->tell(
      worker, extension::UserEvent{.username = made->username, .identity_key = made->identity_key});
  co_return std::move(*made);
}

void MessageService::tell_auth(net::Worker& worker, const std::string& username,
                               std::string_view failure) {
  if (!failure.empty()) logins_failed_->add();
  hooks_.current()->tell(
      worker, extension::AuthEvent{
                  .username = username, .success = failure.empty(), .failure_reason = failure});
}

Task<Outcome<Login>> MessageService::log_in(net::Worker& worker, std::string username,
                                            std::string password, std::string address) {
  if (auto allowed = limit(address_rate_, address, 1); !allowed) {
    co_return std::unexpected(std::move(allowed.error()));
  }
  // What cannot be a name must not fill logs and hooks.
  if (!is_username(username) || password.size() > kMaxPassword) {
    co_return refuse(401, "invalid_credentials", "the username or the password is wrong");
  }
  if (const auto admission = guard_.begin(username, address, monotonic_now());
      admission.wait.count() > 0) {
    tell_auth(worker, username, admission.locked ? "locked" : "too many attempts at once");
    co_return std::unexpected(refusal_of(admission));
  }
  const auto ended = [&](services::LoginGuard::End how) {
    guard_.end(username, address, how, monotonic_now());
  };
  auto account = co_await Answer<Result<Account>>(
      worker, [&](auto done) { storage_->account_by_name(username, std::move(done)); });
  if (!account && account.error().kind != ErrorKind::kNotFound) {
    ended(services::LoginGuard::End::kUnknown);
    co_return std::unexpected(refusal_of(account.error()));
  }
  // Nobody's password is checked too, so that the time does not tell which names exist.
  auto fits = co_await Answer<Result<bool>>(worker, [&](auto done) {
    passwords_.verify(account ? account->password_hash : std::string(), std::move(password),
                      std::move(done));
  });
  ended(!fits   ? services::LoginGuard::End::kUnknown
        : *fits ? services::LoginGuard::End::kSucceeded
                : services::LoginGuard::End::kFailed);
  if (!fits) co_return std::unexpected(refusal_of(fits.error()));
  if (!*fits) {
    tell_auth(worker, username, account ? "wrong password" : "unknown user");
    co_return refuse(401, "invalid_credentials", "the username or the password is wrong");
  }
  std::string bytes(kTokenBytes, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  Login out{.token = services::base64url_of(bytes),
            .expires_at = now_ms() + settings_.session_lifetime.count()};
  auto kept = co_await Answer<Result<std::monostate>>(worker, [&](auto done) {
    storage_->add_session(
        {.token_hash = hash_of(out.token), .account = account->id, .expires_at = out.expires_at},
        std::move(done));
  });
  if (!kept) co_return std::unexpected(refusal_of(kept.error()));
  tell_auth(worker, username, {});
  co_return out;
}

Task<Outcome<std::monostate>> MessageService::log_out(net::Worker& worker, Account account,
                                                      std::string token) {
  const std::string hash = hash_of(token);
  auto removed = co_await Answer<Result<std::monostate>>(
      worker, [&](auto done) { storage_->remove_session(hash, std::move(done)); });
  if (!removed) co_return std::unexpected(refusal_of(removed.error()));
  sessions_.replace(hash, {}, monotonic_now());
  hub_.notify(account.identity_key);  // its streams look, and end
  co_return std::monostate{};
}

Task<Outcome<Account>> MessageService::authenticate(net::Worker& worker, std::string token) {
  if (token.empty() || token.size() > 128) co_return unauthorized();
  const std::string hash = hash_of(token);
  auto known = sessions_.find(hash, monotonic_now());
  if (!known) {
    auto found = co_await Answer<Result<Storage::LoggedIn>>(
        worker, [&](auto done) { storage_->session(hash, std::move(done)); });
    if (!found && found.error().kind != ErrorKind::kNotFound) {
      co_return std::unexpected(refusal_of(found.error()));
    }
    if (!found) co_return unauthorized();
    found->account.password_hash.clear();
    sessions_.keep(hash, {std::move(found->session), std::move(found->account)}, monotonic_now());
    // Read again: it may have ended meanwhile.
    known = sessions_.find(hash, monotonic_now());
  }
  if (!known || known->account.id == 0 || known->session.expires_at <= now_ms()) {
    co_return unauthorized();
  }
  co_return std::move(known->account);
}

}  // namespace heddle::messaging
