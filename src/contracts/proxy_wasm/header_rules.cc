#include "contracts/proxy_wasm/header_rules.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

namespace heddle::proxy_wasm {
namespace {

constexpr std::array<std::string_view, 5> kRequestPseudo = {":method", ":path", ":authority",
                                                            ":scheme", ":protocol"};
constexpr std::array<std::string_view, 4> kRequired = {":method", ":path", ":scheme", ":status"};

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::any_of(
      names, [&](std::string_view each) { return http::equals_ignoring_case(each, name); });
}

bool is_pseudo_value(std::string_view value) {
  return std::ranges::none_of(
      value, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7F; });
}

bool is_status(std::string_view value) {
  return value.size() == 3 && value[0] >= '1' && value[0] <= '9' &&
         std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string_view canonical_name(MapType map, std::string_view name) {
  if (map == MapType::kRequestHeaders && http::equals_ignoring_case(name, "host"))
    return ":authority";
  return name;
}

bool is_allowed(MapType map, std::string_view name, std::string_view value) {
  if (!name.starts_with(':')) return http::is_token(name) && http::is_field_value(value);
  if (map == MapType::kRequestHeaders)
    return is_one_of(kRequestPseudo, name) && is_pseudo_value(value);
  return map == MapType::kResponseHeaders && http::equals_ignoring_case(name, ":status") &&
         is_status(value);
}

bool is_single(std::string_view name) {
  return is_one_of(kRequestPseudo, name);
}

bool is_required(MapType map, std::string_view name) {
  return (map == MapType::kRequestHeaders || map == MapType::kResponseHeaders) &&
         is_one_of(kRequired, name);
}

void add_header(http::HeaderMap& headers, std::string_view name, std::string_view value) {
  if (name.starts_with(':')) {
    if (const auto before = headers.get(name)) {
      if (!is_single(name)) {  // :status
        headers.set(name, value);
        return;
      }
      char* joined = headers.arena().allocate(before->size() + 1 + value.size());
      std::memcpy(joined, before->data(), before->size());
      joined[before->size()] = ',';
      if (!value.empty()) std::memcpy(joined + before->size() + 1, value.data(), value.size());
      headers.set(name, {joined, before->size() + 1 + value.size()});
      return;
    }
  }
  headers.add(name, value);
}

}  // namespace heddle::proxy_wasm
