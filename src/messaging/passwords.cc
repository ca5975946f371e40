#include "messaging/passwords.h"

#include <sodium.h>

#include <utility>

#include "services/password.h"

namespace heddle::messaging {
namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kMaxWaiting = 64;

std::unexpected<Error> busy() {
  return fail(ErrorKind::kUnavailable, "too many passwords wait to be checked; try again later");
}

}  // namespace

Passwords::Passwords(std::size_t memory, std::uint64_t operations)
    : memory_(memory), operations_(operations), pool_(kThreads) {
  auto made = make("nobody");
  if (made) nobody_ = std::move(*made);
}

bool Passwords::enter() {
  if (waiting_.fetch_add(1) < kMaxWaiting) return true;
  waiting_.fetch_sub(1);
  return false;
}

Result<std::string> Passwords::make(const std::string& password) const {
  std::string out(crypto_pwhash_STRBYTES, '\0');
  if (crypto_pwhash_str_alg(out.data(), password.data(), password.size(), operations_, memory_,
                            crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return fail(ErrorKind::kUnavailable,
                "there is no memory to hash a password (messaging.password_memory)");
  }
  out.resize(out.find('\0'));
  return out;
}

void Passwords::hash(std::string password, Reply<std::string> done) {
  if (!enter()) return done(busy());
  pool_.submit([this, p = std::move(password), done = std::move(done)]() mutable {
    auto out = make(p);
    waiting_.fetch_sub(1);
    done(std::move(out));
  });
}

void Passwords::verify(std::string hash, std::string password, Reply<bool> done) {
  if (!enter()) return done(busy());
  pool_.submit(
      [this, h = std::move(hash), p = std::move(password), done = std::move(done)]() mutable {
        const bool fits = services::verify_password(h.empty() ? nobody_ : h, p) && !h.empty();
        waiting_.fetch_sub(1);
        done(fits);
      });
}

}  // namespace heddle::messaging
