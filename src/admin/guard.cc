#include "admin/guard.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <utility>

namespace heddle::admin {
namespace {

constexpr std::array<std::string_view, 3> kLoopbackNames = {"localhost", "ip6-localhost",
                                                            "ip6-loopback"};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return out;
}

// The host of "host:port", "[v6]:port" or "host", in lower case without brackets and the dot at the
// end.
std::string host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    return end == std::string_view::npos ? std::string() : lower(authority.substr(1, end - 1));
  }
  std::string_view host = authority.substr(0, authority.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return lower(host);
}

bool is_ip(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool is_loopback(const std::string& host) {
  if (std::ranges::find(kLoopbackNames, host) != kLoopbackNames.end()) return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

// "host:port" of an origin, with the port that its scheme implies left out; empty when it is none
// ("null").
std::string authority_of(std::string_view origin) {
  std::string text = lower(origin);
  for (const auto& [scheme, port] :
       {std::pair<std::string_view, std::string_view>{"http://", ":80"}, {"https://", ":443"}}) {
    if (!text.starts_with(scheme)) continue;
    text.erase(0, scheme.size());
    if (text.ends_with(port)) text.erase(text.size() - port.size());
    return text;
  }
  return {};
}

}  // namespace

Guard::Guard(std::string_view address, const std::vector<std::string>& allowed_hosts)
    : bound_host_(host_of(address)) {
  if (bound_host_ == "0.0.0.0" || bound_host_ == "::") bound_host_.clear();
  for (const std::string& host : allowed_hosts) allowed_.push_back(lower(host));
}

std::optional<Response> Guard::check(const Request& request) const {
  if (!host_allowed(request.host)) {
    return error_response(
        403, "host_not_allowed",
        "the Host header names neither this machine nor one of admin.allowed_hosts");
  }
  // Browsers let pages of other sites open WebSockets, and read what comes.
  const bool changes = (request.method != "GET" && request.method != "HEAD") || request.websocket;
  if (changes && !origin_allowed(request)) {
    return error_response(403, "cross_site", "a page of another site may not make this request");
  }
  return std::nullopt;
}

bool Guard::host_allowed(std::string_view authority) const {
  const std::string host = host_of(authority);
  if (host.empty()) return false;
  if (is_loopback(host)) return true;
  if (bound_host_.empty() ? is_ip(host) : host == bound_host_) return true;
  const std::string whole = lower(authority);
  return std::ranges::any_of(
      allowed_, [&](const std::string& allowed) { return allowed == host || allowed == whole; });
}

bool Guard::origin_allowed(const Request& request) const {
  // Browsers that send no Origin still say where the page came from. Other clients send neither.
  if (request.origin.empty()) {
    return request.fetch_site.empty() || request.fetch_site == "same-origin" ||
           request.fetch_site == "none";
  }
  const std::string origin = authority_of(request.origin);
  if (origin.empty()) return false;
  if (origin == authority_of("http://" + request.host) ||
      origin == authority_of("https://" + request.host)) {
    return true;
  }
  const std::string host = host_of(origin);
  return std::ranges::any_of(
      allowed_, [&](const std::string& allowed) { return allowed == host || allowed == origin; });
}

}  // namespace heddle::admin
