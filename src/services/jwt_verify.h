// Verification of one JSON Web Token: form, signature, time, issuer, audience (RFC 7519, RFC 8725).
// A pure function; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "services/jwt_keys.h"
#include "services/user_auth.h"

namespace heddle::services {

struct JwtClaims {
  std::string json;     // the claims, as one JSON object
  std::string subject;  // `sub`, or empty
};

struct JwtRules {
  std::vector<JwtAlgorithm> algorithms;
  std::string issuer;                  // empty: any
  std::vector<std::string> audiences;  // empty: any
  std::chrono::seconds leeway{0};
};

// `now`: seconds since 1970. Errors: kNotFound (no key for it: the keys may be too old), else
// kPermission. A token must have `exp`. `crit` is refused, as no extension is known.
Result<JwtClaims> verify_jwt(std::string_view token, const JwtKeys& keys, const JwtRules& rules,
                             std::int64_t now);

}  // namespace heddle::services
