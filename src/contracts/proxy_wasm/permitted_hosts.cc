#include "contracts/proxy_wasm/permitted_hosts.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "http/header_map.h"

namespace heddle::proxy_wasm {
namespace {

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == '[' || c == ']' || c == ':';
}

bool is_address(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view digits = address.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return error == std::errc() && end == digits.data() + digits.size() && port != 0 &&
         std::ranges::all_of(address, is_host_character);
}

bool matches(std::string_view pattern, std::string_view address) {
  if (pattern == "*") return true;
  if (!pattern.starts_with("*.")) return http::equals_ignoring_case(pattern, address);
  const std::string_view suffix = pattern.substr(1);
  return address.size() > suffix.size() &&
         http::equals_ignoring_case(address.substr(address.size() - suffix.size()), suffix);
}

}  // namespace

bool is_permitted(std::span<const std::string> patterns, std::string_view address) {
  return is_address(address) && std::ranges::any_of(patterns, [&](const std::string& pattern) {
           return matches(pattern, address);
         });
}

}  // namespace heddle::proxy_wasm
