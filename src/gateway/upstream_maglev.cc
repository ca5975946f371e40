#include "gateway/upstream_maglev.h"

#include <algorithm>
#include <limits>

namespace heddle::gateway {
namespace {

constexpr std::uint16_t kFree = std::numeric_limits<std::uint16_t>::max();

struct Walk {
  std::uint64_t place = 0;  // of the next preference
  std::uint64_t skip = 1;
  std::uint64_t due = 0;  // in the rounds of the heaviest item, times its weight
};

}  // namespace

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 33U;
  value *= 0xFF51AFD7ED558CCDU;
  value ^= value >> 33U;
  value *= 0xC4CEB9FE1A85EC53U;
  return value ^ (value >> 33U);
}

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t hash = 0xCBF29CE484222325U ^ mix(seed);
  for (const char byte : bytes) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001B3U;
  }
  return mix(hash);
}

std::vector<std::uint16_t> maglev_table(std::span<const MaglevItem> items) {
  if (items.empty()) return {};
  const std::size_t count = std::min<std::size_t>(items.size(), kFree);
  std::vector<Walk> walks(count);
  std::uint64_t heaviest = 1;
  for (std::size_t i = 0; i < count; ++i) {
    walks[i].place = hash_bytes(items[i].name, 1) % kMaglevPlaces;
    walks[i].skip = hash_bytes(items[i].name, 2) % (kMaglevPlaces - 1) + 1;
    heaviest = std::max<std::uint64_t>(heaviest, items[i].weight);
  }
  std::vector<std::uint16_t> table(kMaglevPlaces, kFree);
  std::size_t filled = 0;
  for (std::uint64_t round = 1; filled < kMaglevPlaces; ++round) {
    for (std::size_t i = 0; i < count && filled < kMaglevPlaces; ++i) {
      // The heaviest takes a place every round, one of half its weight every other.
      if (round * items[i].weight < walks[i].due + heaviest) continue;
      walks[i].due += heaviest;
      while (table[walks[i].place] != kFree) {
        walks[i].place = (walks[i].place + walks[i].skip) % kMaglevPlaces;
      }
      table[walks[i].place] = static_cast<std::uint16_t>(i);
      ++filled;
    }
  }
  return table;
}

}  // namespace heddle::gateway
