// Keys that JSON Web Tokens are verified with: PEM files, JWK sets (RFC 7517, 7518, 8037), secrets.
// Immutable; any thread.
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace heddle::services {

enum class JwtAlgorithm : std::uint8_t { kHs256, kRs256, kEs256, kEdDsa };
std::optional<JwtAlgorithm> jwt_algorithm(std::string_view name);  // "RS256"

// A key is of one algorithm only: a public RSA key is never taken for the secret of an HMAC.
struct JwtKey {
  JwtAlgorithm algorithm;
  std::string kid;                       // empty: none
  std::shared_ptr<EVP_PKEY> public_key;  // all but HS256
  std::string secret;                    // HS256
};
using JwtKeys = std::vector<JwtKey>;

// A PEM public key, a PEM certificate, or a JWK set; the error says what is wrong with it.
Result<JwtKeys> parse_jwt_keys(std::string_view text);
// {"keys":[…]}, or one key. Keys of other kinds and uses are passed over; secrets (`oct`) too,
// since a set is public. An error when nothing is left.
Result<JwtKeys> parse_jwk_set(std::string_view json);

// Whether `signature` is one of `message` by this key.
bool verify_jwt_signature(const JwtKey& key, std::string_view message, std::string_view signature);

}  // namespace heddle::services
