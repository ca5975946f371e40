// The cryptography that plugins may ask of the host. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::services {

enum class HashAlgorithm : std::uint8_t { kSha256 = 0, kSha512 = 1 };  // the SDK's numbers
std::optional<HashAlgorithm> hash_algorithm(std::uint32_t number);

inline constexpr std::size_t kMaxRandomBytes = std::size_t{1} << 20U;

std::string crypto_hash(HashAlgorithm algorithm, std::string_view bytes);  // raw digest
std::string crypto_hmac(HashAlgorithm algorithm, std::string_view key, std::string_view bytes);
Result<std::string> crypto_random(std::size_t count);  // kLimit above kMaxRandomBytes

std::string hex_of(std::string_view bytes);  // lower case
std::string base64_of(std::string_view bytes);
std::string base64url_of(std::string_view bytes);  // without padding
// Nothing for anything that is not canonical.
std::optional<std::string> from_base64(std::string_view text);
std::optional<std::string> from_base64url(std::string_view text);

}  // namespace heddle::services
