// Consistent hashing after Maglev (Eisenbud et al., NSDI 2016, section 3.4): a table of a prime
// number of places that the endpoints fill in turn, each by a permutation of its own. An endpoint
// that comes or goes moves little more than its own share of the keys, and a look-up is one load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace heddle::gateway {

inline constexpr std::size_t kMaglevPlaces = 65'537;

struct MaglevItem {
  std::string_view name;
  std::uint32_t weight = 1;
};

// For each place the index of its item; empty for no items. At most 65,535 items.
std::vector<std::uint16_t> maglev_table(std::span<const MaglevItem> items);

// The same in every process and version: keys stay where they are over restarts.
std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed = 0);
// Another number for each number, evenly spread.
std::uint64_t mix(std::uint64_t value);

}  // namespace heddle::gateway
