#include "contracts/route/json_members.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstddef>

namespace heddle::route {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::size_t skip_space(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(kSpace, at), text.size());
}

// Behind the string that begins at `at`.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

// Behind the value that begins at `at`.
std::size_t value_end(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      if (depth == 0) return at;
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    }
    if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n')) return at;
    ++at;
  }
  return at;
}

std::string key_of(std::string_view quoted) {
  if (!quoted.contains('\\')) return std::string(quoted.substr(1, quoted.size() - 2));
  boost::system::error_code failed;
  const auto parsed = boost::json::parse(quoted, failed);
  return failed || !parsed.is_string() ? std::string() : std::string(parsed.get_string());
}

}  // namespace

std::vector<JsonMember> json_members(std::string_view object) {
  std::vector<JsonMember> out;
  std::size_t at = skip_space(object, 0) + 1;  // behind the brace
  while (true) {
    at = skip_space(object, at);
    if (at >= object.size() || object[at] != '"') return out;
    const std::size_t key_end = string_end(object, at);
    const std::size_t colon = skip_space(object, key_end);
    const std::size_t begin = skip_space(object, colon + 1);
    const std::size_t end = value_end(object, begin);
    if (end <= begin) return out;
    out.push_back({key_of(object.substr(at, key_end - at)), object.substr(begin, end - begin)});
    at = skip_space(object, end);
    if (at < object.size() && object[at] == ',') ++at;
  }
}

std::string compact_json(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (std::size_t at = 0; at < json.size();) {
    const std::size_t end = json[at] == '"' ? string_end(json, at) : at + 1;
    if (!kSpace.contains(json[at])) out += json.substr(at, end - at);
    at = end;
  }
  return out;
}

}  // namespace heddle::route
