#include "services/jwt_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <optional>
#include <utility>

#include "base/json_parse.h"
#include "base/json_write.h"
#include "services/crypto.h"

namespace heddle::services {
namespace {

namespace json = boost::json;

constexpr std::size_t kLongest = 16'384;

std::unexpected<Error> refuse(std::string why) {
  return fail(ErrorKind::kPermission, std::move(why));
}

struct Parts {
  std::string_view header;
  std::string_view claims;
  std::string_view signature;
  std::string_view signed_part;
};

std::optional<Parts> split(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return std::nullopt;
  }
  return Parts{.header = token.substr(0, first),
               .claims = token.substr(first + 1, second - first - 1),
               .signature = token.substr(second + 1),
               .signed_part = token.substr(0, second)};
}

std::optional<json::object> object_of(std::string_view encoded) {
  const auto text = from_base64url(encoded);
  if (!text) return std::nullopt;
  boost::system::error_code wrong;
  json::value value = parse_json(*text, wrong);
  if (wrong || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

std::string_view text_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

// A NumericDate; nothing: it is not there. NaN: it is something else.
std::optional<double> time_in(const json::object& claims, std::string_view name) {
  const json::value* value = claims.if_contains(name);
  if (value == nullptr) return std::nullopt;
  boost::system::error_code wrong;
  const auto seconds = value->is_number() ? value->to_number<double>(wrong) : std::nan("");
  return seconds;
}

Result<void> check_time(const json::object& claims, const JwtRules& rules, std::int64_t now) {
  const auto leeway = static_cast<double>(rules.leeway.count());
  const auto present = static_cast<double>(now);
  const auto expires = time_in(claims, "exp");
  if (!expires) return refuse("the token has no exp, so it would never expire");
  // Written so that NaN is refused.
  if (!(present < *expires + leeway)) return refuse("the token has expired");
  const auto begins = time_in(claims, "nbf");
  if (begins && !(*begins <= present + leeway)) return refuse("the token is not valid yet (nbf)");
  return {};
}

bool has_audience(const json::object& claims, const std::vector<std::string>& wanted) {
  const auto known = [&wanted](const json::value& value) {
    return value.is_string() && std::ranges::any_of(wanted, [&value](const std::string& each) {
             return std::string_view(value.get_string()) == each;
           });
  };
  const json::value* audience = claims.if_contains("aud");
  if (audience == nullptr) return false;
  return known(*audience) ||
         (audience->is_array() && std::ranges::any_of(audience->get_array(), known));
}

Result<void> check_claims(const json::object& claims, const JwtRules& rules, std::int64_t now) {
  if (auto good = check_time(claims, rules, now); !good) return good;
  if (!rules.issuer.empty() && text_in(claims, "iss") != rules.issuer) {
    return refuse("the token is of another issuer (iss)");
  }
  if (!rules.audiences.empty() && !has_audience(claims, rules.audiences)) {
    return refuse("the token is meant for somebody else (aud)");
  }
  return {};
}

Result<void> check_signature(const Parts& parts, const json::object& header, const JwtKeys& keys,
                             const JwtRules& rules) {
  const std::string_view name = text_in(header, "alg");
  const auto algorithm = jwt_algorithm(name);
  if (!algorithm || std::ranges::find(rules.algorithms, *algorithm) == rules.algorithms.end()) {
    return refuse(fmt::format("tokens of algorithm \"{}\" are not accepted (auth.jwt.algorithms)",
                              name.substr(0, 20)));
  }
  const auto signature = from_base64url(parts.signature);
  if (!signature) return refuse("the token's signature is not base64url");
  const std::string_view kid = text_in(header, "kid");
  bool found = false;
  for (const JwtKey& key : keys) {
    if (key.algorithm != *algorithm) continue;
    if (!kid.empty() && !key.kid.empty() && key.kid != kid) continue;
    found = true;
    if (verify_jwt_signature(key, parts.signed_part, *signature)) return {};
  }
  if (!found) return fail(ErrorKind::kNotFound, "no key is known for the token (kid, alg)");
  return refuse("the token's signature is wrong");
}

}  // namespace

Result<JwtClaims> verify_jwt(std::string_view token, const JwtKeys& keys, const JwtRules& rules,
                             std::int64_t now) {
  const auto parts = token.size() <= kLongest ? split(token) : std::nullopt;
  if (!parts) return refuse("no token of three parts, or a too long one");
  const auto header = object_of(parts->header);
  if (!header) return refuse("the token's header is no base64url of a JSON object");
  if (header->contains("crit")) return refuse("the token has extensions that are not known (crit)");
  if (auto good = check_signature(*parts, *header, keys, rules); !good) {
    return std::unexpected(std::move(good.error()));
  }
  const auto claims = object_of(parts->claims);
  if (!claims) return refuse("the token's claims are no base64url of a JSON object");
  if (auto good = check_claims(*claims, rules, now); !good) {
    return std::unexpected(std::move(good.error()));
  }
  return JwtClaims{.json = write_json(*claims), .subject = std::string(text_in(*claims, "sub"))};
}

}  // namespace heddle::services
