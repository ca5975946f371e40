#include "base/json_parse.h"

#include <boost/json/parse.hpp>
#include <cmath>
#include <limits>
#include <utility>

namespace heddle {

boost::json::value parse_json(std::string_view text, boost::system::error_code& error,
                              boost::json::storage_ptr memory,
                              const boost::json::parse_options& options) {
  boost::json::value out = boost::json::parse(text, error, std::move(memory), options);
  keep_to_doubles(out);
  return out;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the parser let the text be
void keep_to_doubles(boost::json::value& value) {
  if (double* number = value.if_double()) {
    constexpr double kMost = std::numeric_limits<double>::max();
    if (std::isnan(*number)) *number = 0;  // zero times ten to the power of too much
    if (std::isinf(*number)) *number = std::copysign(kMost, *number);
  } else if (auto* array = value.if_array()) {
    for (boost::json::value& item : *array) keep_to_doubles(item);
  } else if (auto* object = value.if_object()) {
    for (auto& member : *object) keep_to_doubles(member.value());
  }
}

}  // namespace heddle
