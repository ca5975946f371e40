// Who makes a request: verification of the Authorization header for routes that ask for it, by JWT
// (RFC 7519, RFC 8725) or basic authentication (RFC 7617).
//
// A call is made on a worker and answered there, as an event of its own. Hashing of passwords runs
// on the blocking pool.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "services/pending_call.h"

namespace heddle::net {
class BlockingPool;
}

namespace heddle::services {

class OutboundHttp;

struct JwtOptions {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  // Of HS256, RS256, ES256, EdDSA. A key is used only with the algorithm of its own type.
  std::vector<std::string> algorithms = {"RS256", "ES256", "EdDSA"};
  std::vector<std::string> key_files = {};  // PEM public keys or certificates, or JWK sets
  std::string secret_file = {};             // HS256: the bytes of the file, without a last newline
  std::string jwks_url = {};  // fetched, and again when a key is not known or it grew old
  std::string issuer = {};    // empty: any
  std::vector<std::string> audiences = {};  // empty: any
  std::chrono::seconds leeway{30};          // of exp and nbf
  std::chrono::seconds jwks_refresh{600};
  // NOLINTEND(readability-redundant-member-init)
};

struct BasicOptions {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  std::map<std::string, std::string> users = {};  // name -> bcrypt or Argon2 hash
  // Wrong passwords of a user from an address before it is locked out there; 0: never.
  std::uint32_t failures = 5;
  std::chrono::seconds lockout{15 * 60};
  // NOLINTEND(readability-redundant-member-init)
};

struct AuthOptions {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  std::string realm = "heddle";
  JwtOptions jwt = {};
  BasicOptions basic = {};
  bool offers_jwt() const {
    return !jwt.key_files.empty() || !jwt.secret_file.empty() || !jwt.jwks_url.empty();
  }
  bool offers_basic() const { return !basic.users.empty(); }
  // NOLINTEND(readability-redundant-member-init)
};

// Either a user or a refusal.
struct AuthOutcome {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  std::string user_json = {};  // JWT: the claims; basic: {"sub":name,"name":name}
  std::string subject = {};    // `sub`, for logs
  int status = 200;            // 401, 429 when it is locked out, or 503 when the keys cannot be had
  std::string www_authenticate = {};    // of a 401
  std::chrono::seconds retry_after{0};  // of a 429
  std::string reason = {};              // for the log, not for the client
  bool accepted() const { return status == 200; }
  // NOLINTEND(readability-redundant-member-init)
};

class UserAuth {
 public:
  using Callback = Completion<AuthOutcome>::Callback;

  virtual ~UserAuth() = default;
  // `authorization`: the header's value; empty when there was none. `address`: the client's,
  // without a port. The result is never an error.
  [[nodiscard]] virtual Pending authenticate(net::Worker& worker, std::string authorization,
                                             std::string address, Callback done) = 0;
};

// Reads the key files. `outbound` may be null when there is no jwks_url. Errors name the file.
Result<std::unique_ptr<UserAuth>> make_user_auth(AuthOptions options, OutboundHttp* outbound,
                                                 net::BlockingPool& blocking, Log& log);

}  // namespace heddle::services
