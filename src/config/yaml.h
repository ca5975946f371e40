// YAML text into a tree. The only part of Heddle that knows yaml-cpp; its exceptions end here.
//
// Hostile input costs little: files, nesting and the number of values after aliases are limited,
// and what is not UTF-8 text is refused before the library sees it.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "config/node.h"
#include "config/problems.h"

namespace heddle::config {

inline constexpr std::size_t kMaxFileBytes = std::size_t{8} << 20U;
inline constexpr std::size_t kMaxDepth = 64;
inline constexpr std::size_t kMaxValues =
    200'000;  // of one file, aliases counted each time they are used
inline constexpr std::size_t kMaxTextBytes = std::size_t{32}
                                             << 20U;  // the same for the bytes of all scalars

// The one document of `text`, or a null node when it holds none. nullopt when it cannot be read at
// all; duplicate keys are reported and the first is kept. Every problem goes to `problems`, with
// `file` in its mark.
std::optional<Node> parse_yaml(std::string_view text, std::uint32_t file, Problems& problems);

}  // namespace heddle::config
