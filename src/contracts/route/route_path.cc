#include "contracts/route/route_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace heddle::route {
namespace {

constexpr std::size_t kMaxPath = 1'024;

bool is_name(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto part = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  return !text.empty() && letter(text.front()) && std::ranges::all_of(text, part);
}

std::unexpected<Error> wrong(std::string text) {
  return fail(ErrorKind::kInvalidArgument, std::move(text));
}

// The parameter's name; empty when the segment is literal.
Result<std::string_view> parameter_of(std::string_view segment) {
  std::string_view name;
  if (segment.starts_with(':')) {
    name = segment.substr(1);
  } else if (segment.starts_with('{') && segment.ends_with('}')) {
    name = segment.substr(1, segment.size() - 2);
  } else if (segment.find_first_of("{}") != std::string_view::npos) {
    return wrong("braces stand around a whole segment: /items/{id}");
  } else {
    return std::string_view{};
  }
  if (!is_name(name)) {
    return wrong(fmt::format("\"{}\" is no name of a parameter; letters, digits, - and _", name));
  }
  return name;
}

Result<void> check_literal(std::string_view segment, bool last) {
  if (segment.empty() && !last) return wrong("it has an empty segment (//)");
  if (segment == "." || segment == "..") return wrong("it has a . or .. segment");
  const bool plain = std::ranges::all_of(
      segment, [](char c) { return c > 0x20 && c < 0x7F && c != '?' && c != '#'; });
  if (!plain) return wrong("it has a character that no path has; percent-encode it");
  return {};
}

}  // namespace

Result<std::string> to_pattern(std::string_view path) {
  if (!path.starts_with('/')) return wrong("it does not begin with /");
  if (path.size() > kMaxPath) return wrong(fmt::format("it is longer than {} bytes", kMaxPath));
  std::string out;
  std::set<std::string_view> names;
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    const bool last = end == path.size();
    at = end + 1;
    if (segment == "*") {
      if (!last) return wrong("* stands for the rest and must be the last segment");
      out += "/*";
      continue;
    }
    if (auto plain = check_literal(segment, last); !plain) {
      return std::unexpected(std::move(plain.error()));
    }
    const auto name = parameter_of(segment);
    if (!name) return std::unexpected(name.error());
    if (!name->empty() && !names.insert(*name).second) {
      return wrong(fmt::format("two parameters are named {}", *name));
    }
    if (name->empty() && segment.find('*') != std::string_view::npos) {
      return wrong("* stands for the rest and must be a segment of its own");
    }
    out += name->empty() ? "/" : "/:";
    out += name->empty() ? segment : *name;
  }
  return out;
}

std::string shape_of(std::string_view pattern) {
  std::string out;
  bool parameter = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '/') parameter = i + 1 < pattern.size() && pattern[i + 1] == ':';
    if (pattern[i] == '/' && parameter) {
      out += "/:";
    } else if (!parameter) {
      out += pattern[i];
    }
  }
  return out;
}

}  // namespace heddle::route
