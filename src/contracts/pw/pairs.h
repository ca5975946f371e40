// Header maps as the ABI serialises them: u32 count; count x (u32 name length, u32 value length); then every name NUL
// value NUL. Little-endian. An empty map is four zero bytes, because the Go SDK reads the count unconditionally.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/header_map.h"

namespace heddle::proxy_wasm {

inline constexpr std::size_t kMaxPairsBytes = std::size_t{1} << 20U;
inline constexpr std::size_t kMaxPairs = 1024;

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

std::size_t serialised_size(const http::HeaderMap& headers);
// Writes serialised_size() bytes.
void serialise(const http::HeaderMap& headers, char* out);
std::string serialise(const Pairs& pairs);

// What a guest wrote. Views point into `bytes`. Nothing when it breaks the format or passes a limit; no bytes at all are
// an empty list.
std::optional<Pairs> parse_pairs(std::string_view bytes);

}  // namespace heddle::proxy_wasm
