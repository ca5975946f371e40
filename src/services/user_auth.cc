#include "services/user_auth.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "base/clock.h"
#include "http/header_map.h"
#include "services/basic_auth.h"
#include "services/jwks_source.h"
#include "services/jwt_verify.h"

namespace heddle::services {
namespace {

constexpr std::size_t kLeastSecretBytes = 32;  // RFC 7518 section 3.2

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(ErrorKind::kNotFound, fmt::format("{} cannot be read; does it exist?", path));
  }
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

Result<JwtKeys> read_keys(const JwtOptions& options) {
  JwtKeys out;
  for (const std::string& path : options.key_files) {
    auto text = read_file(path);
    if (!text) return std::unexpected(std::move(text.error()).within("auth.jwt.key_files: "));
    auto keys = parse_jwt_keys(*text);
    if (!keys) {
      return std::unexpected(
          std::move(keys.error()).within(fmt::format("auth.jwt.key_files: {} ", path)));
    }
    std::ranges::move(*keys, std::back_inserter(out));
  }
  if (options.secret_file.empty()) return out;
  auto secret = read_file(options.secret_file);
  if (!secret) return std::unexpected(std::move(secret.error()).within("auth.jwt.secret_file: "));
  if (secret->ends_with('\n')) secret->pop_back();
  if (secret->size() < kLeastSecretBytes) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("auth.jwt.secret_file: {} holds fewer than {} bytes",
                            options.secret_file, kLeastSecretBytes));
  }
  out.push_back({.algorithm = JwtAlgorithm::kHs256,
                 .kid = {},
                 .public_key = nullptr,
                 .secret = std::move(*secret)});
  return out;
}

Result<JwtRules> rules_of(const JwtOptions& options) {
  JwtRules out{.algorithms = {},
               .issuer = options.issuer,
               .audiences = options.audiences,
               .leeway = options.leeway};
  for (const std::string& name : options.algorithms) {
    const auto algorithm = jwt_algorithm(name);
    if (!algorithm) {
      return fail(
          ErrorKind::kInvalidArgument,
          fmt::format("auth.jwt.algorithms: {} is none of HS256, RS256, ES256, EdDSA", name));
    }
    out.algorithms.push_back(*algorithm);
  }
  return out;
}

std::string challenge(const AuthOptions& options, bool invalid_token) {
  std::string realm;
  for (const char c : options.realm) {
    if (c == '"' || c == '\\') realm += '\\';
    realm += c;
  }
  std::string out;
  if (options.offers_jwt()) {
    out = fmt::format("Bearer realm=\"{}\"{}", realm,
                      invalid_token ? ", error=\"invalid_token\"" : "");
  }
  if (options.offers_basic()) {
    out += fmt::format(R"({}Basic realm="{}", charset="UTF-8")", out.empty() ? "" : ", ", realm);
  }
  return out.empty() ? fmt::format("Bearer realm=\"{}\"", realm) : out;
}

// What follows "Bearer " or "Basic "; nothing: another scheme.
std::optional<std::string> after_scheme(std::string_view header, std::string_view scheme) {
  if (header.size() <= scheme.size() || header[scheme.size()] != ' ' ||
      !http::equals_ignoring_case(header.substr(0, scheme.size()), scheme)) {
    return std::nullopt;
  }
  header.remove_prefix(header.find_first_not_of(' ', scheme.size()) == std::string_view::npos
                           ? header.size()
                           : header.find_first_not_of(' ', scheme.size()));
  return std::string(header.substr(0, header.find_last_not_of(' ') + 1));
}

// What a call needs after the one that started it has returned.
struct Verifier {
  AuthOptions options;
  JwtRules rules;
  JwtKeys keys;  // of files
  std::shared_ptr<JwksSource> jwks;

  AuthOutcome outcome(Result<JwtClaims> claims) const {
    if (claims) {
      return {.user_json = std::move(claims->json), .subject = std::move(claims->subject)};
    }
    return {.status = 401,
            .www_authenticate = challenge(options, true),
            .reason = std::move(claims.error().message)};
  }
  Result<JwtClaims> try_keys(std::string_view token, const JwtKeys& with) const {
    return verify_jwt(token, with, rules, wall_now() / 1'000'000'000);
  }
};

class Auth final : public UserAuth {
 public:
  Auth(std::shared_ptr<const Verifier> verifier, std::shared_ptr<BasicAuth> basic)
      : verifier_(std::move(verifier)), basic_(std::move(basic)) {}

  Pending authenticate(net::Worker& worker, std::string authorization, std::string address,
                       Callback done) override {
    auto completion = Completion<AuthOutcome>::create(worker, std::move(done));
    const AuthOptions& options = verifier_->options;
    const auto token = after_scheme(authorization, "Bearer");
    const auto credentials = after_scheme(authorization, "Basic");
    if (token && options.offers_jwt()) {
      check_token(worker, *token, completion);
    } else if (credentials && basic_) {
      basic_->verify(*credentials, address, completion, challenge(options, false));
    } else {
      completion->finish(AuthOutcome{.status = 401,
                                     .www_authenticate = challenge(options, false),
                                     .reason = authorization.empty()
                                                   ? "no Authorization header"
                                                   : "a scheme that is not offered"});
    }
    return completion->handle();
  }

 private:
  void check_token(net::Worker& worker, const std::string& token,
                   const std::shared_ptr<Completion<AuthOutcome>>& completion) {
    auto claims = verifier_->try_keys(token, verifier_->keys);
    const bool unknown = !claims && claims.error().kind == ErrorKind::kNotFound;
    if (!unknown || !verifier_->jwks)
      return completion->finish(verifier_->outcome(std::move(claims)));
    if (const auto keys = verifier_->jwks->current(worker)) {
      claims = verifier_->try_keys(token, *keys);
      if (claims || claims.error().kind != ErrorKind::kNotFound) {
        return completion->finish(verifier_->outcome(std::move(claims)));
      }
    }
    verifier_->jwks->fetch(
        worker, [verifier = verifier_, completion, token](const JwksSource::KeysPtr& keys) {
          completion->finish(
              keys ? verifier->outcome(verifier->try_keys(token, *keys))
                   : AuthOutcome{.status = 503, .reason = "the keys of tokens cannot be fetched"});
        });
  }

  const std::shared_ptr<const Verifier> verifier_;
  const std::shared_ptr<BasicAuth> basic_;
};

}  // namespace

Result<std::unique_ptr<UserAuth>> make_user_auth(AuthOptions options, OutboundHttp* outbound,
                                                 net::BlockingPool& blocking, Log& log) {
  auto rules = rules_of(options.jwt);
  if (!rules) return std::unexpected(std::move(rules.error()));
  auto keys = read_keys(options.jwt);
  if (!keys) return std::unexpected(std::move(keys.error()));
  std::shared_ptr<JwksSource> jwks;
  if (!options.jwt.jwks_url.empty() && outbound != nullptr) {
    auto made = JwksSource::create(options.jwt.jwks_url, options.jwt.jwks_refresh, *outbound, log);
    if (!made) return std::unexpected(std::move(made.error()));
    jwks = std::move(*made);
  }
  std::shared_ptr<BasicAuth> basic;
  if (options.offers_basic()) {
    auto made = BasicAuth::create(options.basic, blocking);
    if (!made) return std::unexpected(std::move(made.error()));
    basic = std::move(*made);
  }
  auto verifier = std::make_shared<const Verifier>(Verifier{.options = std::move(options),
                                                            .rules = std::move(*rules),
                                                            .keys = std::move(*keys),
                                                            .jwks = std::move(jwks)});
  return std::make_unique<Auth>(std::move(verifier), std::move(basic));
}

}  // namespace heddle::services
