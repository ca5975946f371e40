// The forms of what native filters are told: origins, and headers that may be changed.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "config/formats.h"

namespace heddle::config {
namespace {

constexpr std::string_view kOriginHint =
    "for example https://app.example.com or https://*.example.com";
constexpr std::size_t kMostStars = 2;

constexpr std::array<std::string_view, 9> kFraming = {
    "connection", "content-length",    "keep-alive", "proxy-connection", "te",
    "trailer",    "transfer-encoding", "upgrade",    "x-request-id"};

std::string lowered(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

Complaint complaint(std::string_view value, std::string_view what, std::string_view hint) {
  return {concat("\"", value, "\" ", what), std::string(hint)};
}

bool part_of_a_host(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || std::string_view(".-:[]*").contains(c);
}

}  // namespace

std::optional<Complaint> check_optional_token(std::string& value) {
  return value.empty() ? std::nullopt : check_token(value);
}

std::optional<Complaint> check_changed_header(std::string& value) {
  if (auto wrong = check_token(value)) return wrong;
  if (std::ranges::find(kFraming, lowered(value)) == kFraming.end()) return std::nullopt;
  return complaint(value, "is set by Heddle itself", "leave it out");
}

std::optional<Complaint> check_origin(std::string& value) {
  if (value == "*" || value == "null") return std::nullopt;
  value = lowered(value);
  const std::size_t scheme = value.find("://");
  if (scheme == std::string::npos || scheme == 0) {
    return complaint(value, "is not an origin: it lacks its scheme", kOriginHint);
  }
  const std::string_view host = std::string_view(value).substr(scheme + 3);
  if (host.empty() || !std::ranges::all_of(host, part_of_a_host) ||
      std::string_view(value).substr(0, scheme).contains('*')) {
    return complaint(value, "is not an origin: scheme, host and port alone", kOriginHint);
  }
  if (static_cast<std::size_t>(std::ranges::count(host, '*')) > kMostStars) {
    return complaint(value, "has more than two *", kOriginHint);
  }
  return std::nullopt;
}

}  // namespace heddle::config
