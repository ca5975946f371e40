#include "services/crypto.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>

namespace heddle::services {
namespace {

const EVP_MD* digest_of(HashAlgorithm algorithm) {
  return algorithm == HashAlgorithm::kSha512 ? EVP_sha512() : EVP_sha256();
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

constexpr std::string_view kStandard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(std::string_view bytes, std::string_view alphabet, bool padding) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : bytes) {
    bits = bits << 8U | static_cast<unsigned char>(c);
    count += 8;
    while (count >= 6) {
      count -= 6;
      out += alphabet[bits >> count & 0x3fU];
    }
  }
  if (count > 0) out += alphabet[bits << (6 - count) & 0x3fU];
  while (padding && out.size() % 4 != 0) out += '=';
  return out;
}

std::optional<std::string> decode(std::string_view text, std::string_view alphabet) {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  }
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::int8_t value = values[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xffU);
  }
  // One character alone cannot end a text, and the bits left over are zero.
  if (count >= 6 || (bits & ((1U << count) - 1)) != 0) return std::nullopt;
  return out;
}

}  // namespace

std::optional<HashAlgorithm> hash_algorithm(std::uint32_t number) {
  if (number > 1) return std::nullopt;
  return static_cast<HashAlgorithm>(number);
}

std::string crypto_hash(HashAlgorithm algorithm, std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, digest_of(algorithm), nullptr);
  return {reinterpret_cast<const char*>(out.data()), size};
}

std::string crypto_hmac(HashAlgorithm algorithm, std::string_view key, std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  HMAC(digest_of(algorithm), key.empty() ? "" : key.data(), static_cast<int>(key.size()),
       bytes_of(bytes), bytes.size(), out.data(), &size);
  return {reinterpret_cast<const char*>(out.data()), size};
}

Result<std::string> crypto_random(std::size_t count) {
  if (count > kMaxRandomBytes) {
    return fail(ErrorKind::kLimit,
                fmt::format("crypto_random gives at most {} bytes at a time", kMaxRandomBytes));
  }
  std::string out(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) != 1) {
    return fail(ErrorKind::kInternal, "OpenSSL has no random bytes");
  }
  return out;
}

std::string hex_of(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4U];
    out += kDigits[static_cast<unsigned char>(c) & 0xfU];
  }
  return out;
}

std::string base64_of(std::string_view bytes) {
  return encode(bytes, kStandard, true);
}

std::string base64url_of(std::string_view bytes) {
  return encode(bytes, kUrl, false);
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.ends_with('=')) text.remove_suffix(text.ends_with("==") ? 2 : 1);
  return decode(text, kStandard);
}

std::optional<std::string> from_base64url(std::string_view text) {
  return decode(text, kUrl);
}

}  // namespace heddle::services
