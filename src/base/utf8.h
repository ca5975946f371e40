// UTF-8 in texts that come from outside.
#pragma once

#include <cstddef>
#include <string_view>

namespace heddle {

// Length of the valid UTF-8 sequence at the front of `text`, which is not empty; 0 when there is
// none.
std::size_t utf8_length(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace heddle
