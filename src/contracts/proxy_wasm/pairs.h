// Header maps as guests pass and get them: u32 count, count times (u32 name length, u32 value
// length), then for each pair name, NUL, value, NUL; little-endian (reference/proxy-wasm.md,
// section 3).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "http/header_map.h"

namespace heddle::proxy_wasm {

// What the host takes from a guest at most.
inline constexpr std::size_t kMaxPairsBytes = std::size_t{1} << 20U;
inline constexpr std::size_t kMaxPairs = 1024;

using Pair = std::pair<std::string_view, std::string_view>;

// An empty map is 4 zero bytes, not nothing: the Go SDK reads the count in any case.
std::size_t pairs_size(const http::HeaderMap& map);
// Writes exactly pairs_size() bytes.
void write_pairs(const http::HeaderMap& map, char* out);

// The pairs, as views into `bytes`; no bytes at all are an empty map. Nothing when the bytes are
// anything but exactly one map within the limits.
std::optional<std::vector<Pair>> parse_pairs(std::string_view bytes);

}  // namespace heddle::proxy_wasm
