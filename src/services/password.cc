#include "services/password.h"

#include <crypt.h>
#include <sodium.h>

#include <cstring>
#include <memory>

namespace heddle::services {
namespace {

constexpr std::size_t kBcryptSize = 60;
constexpr std::size_t kLongestPassword = 1024;

bool is_argon2(std::string_view hash) {
  return hash.starts_with("$argon2id$") || hash.starts_with("$argon2i$");
}

bool is_bcrypt(std::string_view hash) {
  return hash.size() == kBcryptSize &&
         (hash.starts_with("$2a$") || hash.starts_with("$2b$") || hash.starts_with("$2y$"));
}

bool verify_bcrypt(const std::string& hash, std::string_view password) {
  // The C interface ends at a NUL: what stands behind it would not count.
  if (password.contains('\0')) return false;
  const std::string terminated(password);
  const auto scratch = std::make_unique<crypt_data>();  // 32 KiB
  const char* made = crypt_r(terminated.c_str(), hash.c_str(), scratch.get());
  return made != nullptr && std::strlen(made) == hash.size() &&
         sodium_memcmp(made, hash.data(), hash.size()) == 0;
}

}  // namespace

bool is_password_hash(std::string_view hash) {
  return is_argon2(hash) || is_bcrypt(hash);
}

bool verify_password(const std::string& hash, std::string_view password) {
  if (sodium_init() < 0 || password.size() > kLongestPassword) return false;
  if (is_bcrypt(hash)) return verify_bcrypt(hash, password);
  return is_argon2(hash) &&
         crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0;
}

}  // namespace heddle::services
