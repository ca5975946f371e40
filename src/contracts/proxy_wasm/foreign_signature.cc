// Foreign functions `sign` and `verify_signature`: public-key signatures over a digest, with keys
// that the plugin passes as DER or PEM. Arguments that cannot be understood are kBadArgument; a
// signature that is wrong, or a key that cannot sign, is an answer with `result` false and an
// `error`.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <climits>
#include <memory>
#include <optional>

#include "base/protobuf.h"
#include "contracts/proxy_wasm/foreign_functions.h"
#include "contracts/proxy_wasm/vm.h"
#include "http/header_map.h"

namespace heddle::proxy_wasm {
namespace {

// A private-key operation with more bits than this would hold up the worker for long.
constexpr int kMaxKeyBits = 8192;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Digest = std::unique_ptr<EVP_MD_CTX, Free>;
using Bio = std::unique_ptr<BIO, Free>;

const unsigned char* octets(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

// Both messages, in one: what the fields of this number mean depends on the function.
struct Arguments {
  std::string_view hash;
  std::string_view der;
  std::string_view pem;
  std::string_view signature;
  std::string_view text;
};

struct Numbers {
  std::uint32_t hash = 1;
  std::uint32_t der = 2;
  std::uint32_t pem;
  std::uint32_t signature;
  std::uint32_t text;
};
constexpr Numbers kSignArguments{.pem = 4, .signature = 0, .text = 3};
constexpr Numbers kVerifyArguments{.pem = 5, .signature = 3, .text = 4};

std::optional<Arguments> parse(std::string_view bytes, const Numbers& numbers) {
  Arguments out;
  protobuf::Reader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->number == numbers.hash) out.hash = field->bytes;
    if (field->number == numbers.der) out.der = field->bytes;
    if (field->number == numbers.pem) out.pem = field->bytes;
    if (field->number == numbers.signature) out.signature = field->bytes;
    if (field->number == numbers.text) out.text = field->bytes;
  }
  if (!reader.ok() || out.der.size() > INT_MAX || out.pem.size() > INT_MAX) return std::nullopt;
  return out;
}

const EVP_MD* digest_named(std::string_view name) {
  struct Named {
    std::string_view name;
    const EVP_MD* (*digest)();
  };
  constexpr std::array kDigests = {Named{"sha1", &EVP_sha1}, Named{"sha224", &EVP_sha224},
                                   Named{"sha256", &EVP_sha256}, Named{"sha384", &EVP_sha384},
                                   Named{"sha512", &EVP_sha512}};
  const auto found = std::ranges::find_if(
      kDigests, [&](const Named& each) { return http::equals_ignoring_case(each.name, name); });
  return found != kDigests.end() ? found->digest() : nullptr;
}

// PEM may ask for a password: there is none, and OpenSSL must not ask on the terminal.
int no_password(char* /*out*/, int /*size*/, int /*writing*/, void* /*user*/) {
  return 0;
}

// Null: both forms or none were given, or it is no key, or too large a one.
Key read_key(const Arguments& arguments, bool is_private) {
  if (arguments.der.empty() == arguments.pem.empty()) return nullptr;
  Key key;
  if (arguments.pem.empty()) {
    const unsigned char* at = octets(arguments.der);
    const auto size = static_cast<long>(arguments.der.size());
    key.reset(is_private ? d2i_AutoPrivateKey(nullptr, &at, size) : d2i_PUBKEY(nullptr, &at, size));
  } else {
    const Bio bio(BIO_new_mem_buf(arguments.pem.data(), static_cast<int>(arguments.pem.size())));
    key.reset(is_private ? PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_password, nullptr)
                         : PEM_read_bio_PUBKEY(bio.get(), nullptr, &no_password, nullptr));
  }
  ERR_clear_error();
  if (key != nullptr && EVP_PKEY_bits(key.get()) > kMaxKeyBits) return nullptr;
  return key;
}

Status bad_key(Vm& vm, std::string_view function) {
  warn_of_function(vm, function, "needs one key, as DER or as PEM, of at most 8192 bits");
  return Status::kBadArgument;
}

// The result messages: `result` is field 1, `error` field 2 (verify) or 3 (sign).
Status answer(std::string& out, std::uint32_t error_number, std::string_view error) {
  ERR_clear_error();
  protobuf::write_varint(out, 1, error.empty() ? 1 : 0);
  protobuf::write_bytes(out, error_number, error);
  return Status::kOk;
}

Status verify_signature(Vm& vm, std::string_view bytes, std::string& result) {
  constexpr std::uint32_t kError = 2;
  if (!admit_size(vm, "verify_signature", bytes.size())) return Status::kInternalFailure;
  const auto arguments = parse(bytes, kVerifyArguments);
  if (!arguments) return Status::kBadArgument;
  const Key key = read_key(*arguments, false);
  if (key == nullptr) return bad_key(vm, "verify_signature");
  const EVP_MD* hash = digest_named(arguments->hash);
  if (hash == nullptr) return answer(result, kError, "the hash function is not supported");
  const Digest digest(EVP_MD_CTX_new());
  if (EVP_DigestVerifyInit(digest.get(), nullptr, hash, nullptr, key.get()) != 1) {
    return answer(result, kError, "the key cannot verify signatures with this hash function");
  }
  const int verified =
      EVP_DigestVerify(digest.get(), octets(arguments->signature), arguments->signature.size(),
                       octets(arguments->text), arguments->text.size());
  return answer(result, kError, verified == 1 ? "" : "the signature does not match");
}

Status sign(Vm& vm, std::string_view bytes, std::string& result) {
  constexpr std::uint32_t kSignature = 2;
  constexpr std::uint32_t kError = 3;
  if (!admit_size(vm, "sign", bytes.size())) return Status::kInternalFailure;
  const auto arguments = parse(bytes, kSignArguments);
  if (!arguments) return Status::kBadArgument;
  const Key key = read_key(*arguments, true);
  if (key == nullptr) return bad_key(vm, "sign");
  const EVP_MD* hash = digest_named(arguments->hash);
  if (hash == nullptr) return answer(result, kError, "the hash function is not supported");
  const Digest digest(EVP_MD_CTX_new());
  std::size_t size = 0;
  std::string signature;
  const auto text = arguments->text;
  bool done = EVP_DigestSignInit(digest.get(), nullptr, hash, nullptr, key.get()) == 1 &&
              EVP_DigestSign(digest.get(), nullptr, &size, octets(text), text.size()) == 1;
  if (done) {
    signature.resize(size);
    done = EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                          octets(text), text.size()) == 1;
  }
  if (!done) return answer(result, kError, "the key cannot sign with this hash function");
  signature.resize(size);
  answer(result, kError, "");
  protobuf::write_bytes(result, kSignature, signature);
  return Status::kOk;
}

constexpr std::array kFunctions = {
    BuiltInFunction{"sign", &sign},
    BuiltInFunction{"verify_signature", &verify_signature},
};

}  // namespace

std::span<const BuiltInFunction> signature_functions() {
  return kFunctions;
}

}  // namespace heddle::proxy_wasm
