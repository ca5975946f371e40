#include "services/outbound_rules.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>

#include "http/header_map.h"

namespace heddle::services {
namespace {

using Bytes = std::array<std::uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d

constexpr int kMappedBits = 96;

struct Network {
  Bytes bytes;
  int bits;
};

Bytes mapped(const void* four) {
  Bytes out{};
  out[10] = out[11] = 0xff;
  std::memcpy(out.data() + 12, four, 4);
  return out;
}

std::optional<Bytes> bytes_of(const net::SocketAddress& address) {
  if (address.family() == AF_INET) {
    return mapped(&reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr);
  }
  if (address.family() != AF_INET6) return std::nullopt;
  Bytes out{};
  std::memcpy(out.data(), &reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr, 16);
  return out;
}

std::optional<Network> parse_network(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto address = net::SocketAddress::numeric(text.substr(0, slash), 0);
  if (!address) return std::nullopt;
  const bool four = address->family() == AF_INET;
  int bits = four ? 32 : 128;
  if (slash != std::string::npos) {
    int given = -1;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data() + slash + 1, last, given);
    if (error != std::errc() || end != last || given < 0 || given > bits) return std::nullopt;
    bits = given;
  }
  return Network{.bytes = *bytes_of(*address), .bits = four ? bits + kMappedBits : bits};
}

bool holds(const Network& network, const Bytes& address) {
  for (int bit = 0; bit < network.bits; bit += 8) {
    const int here = std::min(network.bits - bit, 8);
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - here));
    const auto index = static_cast<std::size_t>(bit / 8);
    if (((network.bytes[index] ^ address[index]) & mask) != 0) return false;
  }
  return true;
}

bool any_holds(const auto& networks, const Bytes& address) {
  return std::ranges::any_of(networks, [&address](const std::string& text) {
    const auto network = parse_network(text);
    return network && holds(*network, address);
  });
}

// IANA's registries of special-purpose addresses, and multicast.
const std::array<std::string, 15>& special_v4() {
  static const std::array<std::string, 15> kList = {
      "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
      "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
      "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4"};
  return kList;
}

// Of 2000::/3, outside of which nothing is public: among them the ways to write an IPv4 address
// inside (Teredo, 6to4).
const std::array<std::string, 4>& special_v6() {
  static const std::array<std::string, 4> kList = {"2001::/23", "2001:db8::/32", "2002::/16",
                                                   "3fff::/20"};
  return kList;
}

bool is_mapped(const Bytes& address) {
  return holds({.bytes = mapped("\0\0\0\0"), .bits = kMappedBits}, address);
}

bool is_port(std::string_view pattern_port, std::uint16_t port) {
  if (pattern_port == "*") return true;
  if (pattern_port.empty()) return port == 80 || port == 443;
  return pattern_port == std::to_string(port);
}

// Splits "host:port" of a pattern; an empty port: none was given.
void split_pattern(std::string_view pattern, std::string_view& host, std::string_view& port) {
  const std::size_t colon = pattern.rfind(':');
  const std::size_t bracket = pattern.rfind(']');
  const bool six = !pattern.starts_with('[') && pattern.find(':') != colon;  // without brackets
  const bool has_port = colon != std::string_view::npos && !six &&
                        (bracket == std::string_view::npos || colon > bracket);
  host = has_port ? pattern.substr(0, colon) : pattern;
  port = has_port ? pattern.substr(colon + 1) : std::string_view();
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
}

bool matches(std::string_view pattern, const OutboundUrl& url) {
  if (pattern == "*") return true;
  std::string_view host;
  std::string_view port;
  split_pattern(pattern, host, port);
  if (!is_port(port, url.port)) return false;
  if (host == "*") return true;
  if (!host.starts_with("*.")) return http::equals_ignoring_case(host, url.host);
  const std::string_view suffix = host.substr(1);
  return url.host.size() > suffix.size() &&
         http::equals_ignoring_case(
             std::string_view(url.host).substr(url.host.size() - suffix.size()), suffix);
}

// Named by its numbers (or as localhost), so that whoever permitted it knew where it leads.
bool is_named_outright(const HttpPermissions& permissions, const OutboundUrl& url,
                       const Bytes& address) {
  const bool numeric = net::SocketAddress::numeric(url.host, 0).has_value();
  const bool local = url.host == "localhost" &&
                     any_holds(std::array<std::string, 2>{"127.0.0.0/8", "::1"}, address);
  return (numeric || local) &&
         std::ranges::any_of(permissions.hosts, [&url](const std::string& pattern) {
           return !pattern.starts_with('*') && matches(pattern, url);
         });
}

}  // namespace

bool is_permitted_host(const HttpPermissions& permissions, const OutboundUrl& url) {
  return std::ranges::any_of(permissions.hosts,
                             [&url](const std::string& pattern) { return matches(pattern, url); });
}

bool is_public_address(const net::SocketAddress& address) {
  const auto bytes = bytes_of(address);
  if (!bytes) return false;
  if (is_mapped(*bytes)) return !any_holds(special_v4(), *bytes);
  return ((*bytes)[0] & 0xe0) == 0x20 && !any_holds(special_v6(), *bytes);
}

bool is_permitted_address(const HttpPermissions& permissions, const OutboundUrl& url,
                          const net::SocketAddress& address) {
  if (is_public_address(address)) return true;
  const auto bytes = bytes_of(address);
  return bytes && (any_holds(permissions.private_networks, *bytes) ||
                   is_named_outright(permissions, url, *bytes));
}

Result<void> check_network(const std::string& network) {
  if (parse_network(network)) return {};
  return fail(
      ErrorKind::kInvalidArgument,
      fmt::format("\"{}\" is no range of addresses (for example 10.0.0.0/8, ::1)", network));
}

}  // namespace heddle::services
