#include "base/result.h"

#include <array>

namespace heddle {

std::string_view to_string(ErrorKind kind) {
  static constexpr std::array<std::string_view, 10> kNames = {
      "invalid_argument", "not_found",   "conflict", "permission", "limit",
      "timeout",          "unavailable", "io",       "trap",       "internal"};
  return kNames.at(static_cast<std::size_t>(kind));
}

}  // namespace heddle
