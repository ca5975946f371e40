#include "services/jwt_keys.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <boost/json.hpp>
#include <utility>

#include "services/crypto.h"

namespace heddle::services {
namespace {

namespace json = boost::json;

constexpr int kLeastRsaBits = 2'048;
constexpr std::size_t kMaxKeys = 64;
constexpr std::size_t kCoordinateBytes = 32;  // of P-256

template <auto Free>
struct Freed {
  void operator()(auto* object) const { Free(object); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, Freed<BN_free>>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// What the key is good for; nothing: none of ours.
std::optional<JwtAlgorithm> algorithm_of(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1 && EVP_PKEY_get_bits(key) >= kLeastRsaBits) {
    return JwtAlgorithm::kRs256;
  }
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return JwtAlgorithm::kEdDsa;
  char group[32] = {};
  if (EVP_PKEY_is_a(key, "EC") == 1 &&
      EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) == 1 &&
      std::string_view(group) == "prime256v1") {
    return JwtAlgorithm::kEs256;
  }
  return std::nullopt;
}

KeyPtr read_pem(std::string_view text) {
  const std::unique_ptr<BIO, Freed<BIO_free>> bio(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (text.contains("BEGIN CERTIFICATE")) {
    const std::unique_ptr<X509, Freed<X509_free>> certificate(
        PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    return KeyPtr(certificate ? X509_get_pubkey(certificate.get()) : nullptr);
  }
  return KeyPtr(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
}

// base64url of a member; empty: it is not there, or not that.
std::string bytes_in(const json::object& jwk, std::string_view name) {
  const json::value* value = jwk.if_contains(name);
  if (value == nullptr || !value->is_string()) return {};
  return from_base64url(value->get_string()).value_or("");
}

std::string text_in(const json::object& jwk, std::string_view name) {
  const json::value* value = jwk.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

KeyPtr from_parameters(const char* type, OSSL_PARAM_BLD* builder) {
  const std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>> parameters(
      OSSL_PARAM_BLD_to_param(builder));
  const std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>> context(
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    return nullptr;
  }
  return KeyPtr(key);
}

KeyPtr rsa_key(const json::object& jwk) {
  const std::string n = bytes_in(jwk, "n");
  const std::string e = bytes_in(jwk, "e");
  const NumberPtr modulus(BN_bin2bn(bytes_of(n), static_cast<int>(n.size()), nullptr));
  const NumberPtr exponent(BN_bin2bn(bytes_of(e), static_cast<int>(e.size()), nullptr));
  const std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
  if (n.empty() || e.empty() || n.size() > 2'048 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return nullptr;
  }
  return from_parameters("RSA", builder.get());
}

KeyPtr ec_key(const json::object& jwk) {
  const std::string x = bytes_in(jwk, "x");
  const std::string y = bytes_in(jwk, "y");
  if (text_in(jwk, "crv") != "P-256" || x.size() != kCoordinateBytes ||
      y.size() != kCoordinateBytes) {
    return nullptr;
  }
  const std::string point = "\x04" + x + y;
  const std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>> builder(OSSL_PARAM_BLD_new());
  if (OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) !=
          1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  return from_parameters("EC", builder.get());
}

KeyPtr ed25519_key(const json::object& jwk) {
  const std::string x = bytes_in(jwk, "x");
  if (text_in(jwk, "crv") != "Ed25519") return nullptr;
  return KeyPtr(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(x), x.size()));
}

// Nothing: a key of another kind or use.
std::optional<JwtKey> key_of(const json::object& jwk) {
  const std::string use = text_in(jwk, "use");
  if (!use.empty() && use != "sig") return std::nullopt;
  const std::string type = text_in(jwk, "kty");
  KeyPtr key = type == "RSA"   ? rsa_key(jwk)
               : type == "EC"  ? ec_key(jwk)
               : type == "OKP" ? ed25519_key(jwk)
                               : nullptr;
  const auto algorithm = key ? algorithm_of(key.get()) : std::nullopt;
  if (!algorithm) return std::nullopt;
  const std::string stated = text_in(jwk, "alg");
  if (!stated.empty() && jwt_algorithm(stated) != algorithm) return std::nullopt;
  return JwtKey{.algorithm = *algorithm,
                .kid = text_in(jwk, "kid"),
                .public_key = std::move(key),
                .secret = {}};
}

// ES256 has r and s side by side (RFC 7518 section 3.4), OpenSSL wants them in DER.
std::string der_signature(std::string_view raw) {
  if (raw.size() != 2 * kCoordinateBytes) return {};
  const std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>> signature(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(bytes_of(raw), kCoordinateBytes, nullptr);
  BIGNUM* s = BN_bin2bn(bytes_of(raw) + kCoordinateBytes, kCoordinateBytes, nullptr);
  if (ECDSA_SIG_set0(signature.get(), r, s) != 1) return {};
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return {};
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

}  // namespace

std::optional<JwtAlgorithm> jwt_algorithm(std::string_view name) {
  if (name == "HS256") return JwtAlgorithm::kHs256;
  if (name == "RS256") return JwtAlgorithm::kRs256;
  if (name == "ES256") return JwtAlgorithm::kEs256;
  if (name == "EdDSA") return JwtAlgorithm::kEdDsa;
  return std::nullopt;
}

Result<JwtKeys> parse_jwt_keys(std::string_view text) {
  if (!text.contains("-----BEGIN ")) return parse_jwk_set(text);
  if (text.contains("PRIVATE KEY")) {
    return fail(ErrorKind::kInvalidArgument,
                "holds a private key, which does not belong here; openssl pkey -pubout makes the "
                "public one");
  }
  KeyPtr key = read_pem(text);
  if (!key) return fail(ErrorKind::kInvalidArgument, "is no PEM public key or certificate");
  const auto algorithm = algorithm_of(key.get());
  if (!algorithm) {
    return fail(ErrorKind::kInvalidArgument,
                "is neither RSA of 2048 bits or more, nor P-256, nor Ed25519");
  }
  return JwtKeys{{.algorithm = *algorithm, .kid = {}, .public_key = std::move(key), .secret = {}}};
}

Result<JwtKeys> parse_jwk_set(std::string_view text) {
  boost::system::error_code wrong;
  const json::value value = json::parse({text.data(), text.size()}, wrong);
  const json::object* set = wrong ? nullptr : value.if_object();
  if (set == nullptr) return fail(ErrorKind::kInvalidArgument, "is neither PEM nor a JWK set");
  JwtKeys out;
  const json::value* list = set->if_contains("keys");
  if (list == nullptr) {
    if (auto key = key_of(*set)) out.push_back(std::move(*key));
  } else if (list->is_array()) {
    for (const json::value& each : list->get_array()) {
      auto key = each.is_object() ? key_of(each.get_object()) : std::nullopt;
      if (key && out.size() < kMaxKeys) out.push_back(std::move(*key));
    }
  }
  if (!out.empty()) return out;
  return fail(ErrorKind::kInvalidArgument,
              "holds no key for signatures of RS256 (2048 bits or more), ES256 or EdDSA (Ed25519)");
}

bool verify_jwt_signature(const JwtKey& key, std::string_view message, std::string_view signature) {
  if (key.algorithm == JwtAlgorithm::kHs256) {
    const std::string expected = crypto_hmac(HashAlgorithm::kSha256, key.secret, message);
    return expected.size() == signature.size() &&
           CRYPTO_memcmp(expected.data(), signature.data(), expected.size()) == 0;
  }
  std::string der;
  if (key.algorithm == JwtAlgorithm::kEs256) {
    der = der_signature(signature);
    if (der.empty()) return false;
    signature = der;
  }
  const std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  const EVP_MD* digest = key.algorithm == JwtAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  return EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.public_key.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                          message.size()) == 1;
}

}  // namespace heddle::services
