// Whether a text is JSON, without making values of it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "heddle/json.h"

namespace heddle::library {

inline constexpr std::size_t kMaxJsonDepth = 64;

// One JSON value with white space around it, at most kMaxJsonDepth levels deep.
v1::Result<void> check_json(std::string_view text);

v1::Error not_json(std::string_view why, std::size_t at);

}  // namespace heddle::library
