// Whether a text is JSON, without making values of it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace heddle {

struct JsonFault {
  std::string why;
  std::size_t at = 0;  // bytes before it
};

// Nothing if `text` is one JSON value (RFC 8259, UTF-8) with white space around it and at most
// `max_depth` levels deep.
std::optional<JsonFault> check_json(std::string_view text, std::size_t max_depth);

}  // namespace heddle
