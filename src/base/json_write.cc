#include "base/json_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <iterator>

namespace heddle {
namespace {

namespace json = boost::json;

bool has_double(const json::value& value);

// NOLINTNEXTLINE(misc-no-recursion): as deep as the value, which a parser's limit or code made
bool has_double(const json::object& object) {
  return std::ranges::any_of(object, [](const auto& member) { return has_double(member.value()); });
}

// NOLINTNEXTLINE(misc-no-recursion): as above
bool has_double(const json::value& value) {
  if (const auto* object = value.if_object()) return has_double(*object);
  if (const auto* array = value.if_array()) {
    return std::ranges::any_of(*array, [](const json::value& item) { return has_double(item); });
  }
  return value.is_double();
}

void append_double(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  const std::size_t begin = out.size();
  fmt::format_to(std::back_inserter(out), "{}", number);
  if (out.find_first_of(".e", begin) == std::string::npos) out += ".0";
}

void append(std::string& out, const json::value& value);

// NOLINTNEXTLINE(misc-no-recursion): as above
void append(std::string& out, const json::object& object) {
  out += '{';
  for (const json::key_value_pair& member : object) {
    if (&member != object.begin()) out += ',';
    out += json::serialize(member.key());
    out += ':';
    append(out, member.value());
  }
  out += '}';
}

// NOLINTNEXTLINE(misc-no-recursion): as above
void append(std::string& out, const json::value& value) {
  if (const double* number = value.if_double()) {
    append_double(out, *number);
  } else if (const auto* object = value.if_object()) {
    append(out, *object);
  } else if (const auto* array = value.if_array()) {
    out += '[';
    for (const json::value& item : *array) {
      if (&item != array->data()) out += ',';
      append(out, item);
    }
    out += ']';
  } else {
    out += json::serialize(value);
  }
}

// Boost's own way is the fastest, and right when there is no fraction.
template <typename Value>
std::string written(const Value& value) {
  if (!has_double(value)) return json::serialize(value);
  std::string out;
  append(out, value);
  return out;
}

}  // namespace

std::string write_json(const json::value& value) {
  return written(value);
}

std::string write_json(const json::object& object) {
  return written(object);
}

}  // namespace heddle
