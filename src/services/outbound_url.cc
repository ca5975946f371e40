#include "services/outbound_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "net/address.h"

namespace heddle::services {
namespace {

constexpr std::size_t kLongest = 8'192;
constexpr auto kNone = std::string_view::npos;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::unexpected<Error> wrong(std::string_view text, std::string_view what) {
  return fail(ErrorKind::kInvalidArgument, fmt::format("URL {}: {}", text.substr(0, 200), what));
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool is_url_character(char c) {
  return c > ' ' && c < '\x7f' && c != '"' && c != '<' && c != '>' && c != '\\' && c != '^' &&
         c != '`' && c != '{' && c != '}' && c != '|';
}

// False: neither a name nor an address.
bool read_host(std::string_view text, std::string& host) {
  host.clear();
  std::ranges::transform(text, std::back_inserter(host), lower);
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return false;
    host = host.substr(1, host.size() - 2);
    return host.contains(':') && net::SocketAddress::numeric(host, 1).has_value();
  }
  // A dot at the end means the same host, and would get past the comparison with permitted names.
  if (host.ends_with('.')) host.pop_back();
  return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, is_name_character);
}

bool read_port(std::string_view text, std::uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

bool read_authority(std::string_view text, OutboundUrl& url) {
  const std::size_t colon = text.rfind(':');
  const std::size_t bracket = text.rfind(']');
  url.port = url.tls ? 443 : 80;
  if (colon != kNone && (bracket == kNone || colon > bracket)) {
    if (!read_port(text.substr(colon + 1), url.port)) return false;
    text = text.substr(0, colon);
  }
  return read_host(text, url.host);
}

// RFC 3986 section 5.2.4, for a path that begins with '/'.
std::string without_dots(std::string_view path) {
  std::vector<std::string_view> kept;
  bool folder = false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    folder = segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!folder) kept.push_back(segment);
  }
  std::string out;
  for (const std::string_view segment : kept) out += fmt::format("/{}", segment);
  return folder || out.empty() ? out + "/" : out;
}

}  // namespace

std::string OutboundUrl::authority() const {
  const std::string name = host.contains(':') ? fmt::format("[{}]", host) : host;
  return port == (tls ? 443 : 80) ? name : fmt::format("{}:{}", name, port);
}

std::string OutboundUrl::to_string() const {
  return fmt::format("{}://{}{}", tls ? "https" : "http", authority(), target);
}

Result<OutboundUrl> parse_outbound_url(std::string_view text) {
  if (text.size() > kLongest) return wrong(text, fmt::format("longer than {} bytes", kLongest));
  if (!std::ranges::all_of(text, is_url_character)) {
    return wrong(text, "holds characters that a URL encodes as %XX");
  }
  const std::size_t colon = text.find("://");
  std::string scheme;
  if (colon != kNone)
    std::ranges::transform(text.substr(0, colon), std::back_inserter(scheme), lower);
  if (scheme != "http" && scheme != "https")
    return wrong(text, "begins neither http:// nor https://");
  OutboundUrl out{.tls = scheme == "https", .host = {}, .port = 0, .target = {}};
  std::string_view rest = text.substr(colon + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.contains('@')) return wrong(text, "a user name in a URL is not sent");
  if (!read_authority(authority, out)) return wrong(text, "has no valid host or port");
  rest.remove_prefix(authority.size());
  out.target = rest.substr(0, rest.find('#'));
  if (!out.target.starts_with('/')) out.target.insert(0, 1, '/');
  return out;
}

Result<OutboundUrl> resolve_location(const OutboundUrl& base, std::string_view location) {
  location = location.substr(0, location.find('#'));
  const std::size_t scheme = location.find(':');
  if (scheme != kNone && scheme < location.find_first_of("/?")) return parse_outbound_url(location);
  if (location.starts_with("//")) {
    return parse_outbound_url(fmt::format("{}:{}", base.tls ? "https" : "http", location));
  }
  const std::string_view path = std::string_view(base.target).substr(0, base.target.find('?'));
  const std::string_view wanted = location.substr(0, location.find('?'));
  const std::string_view query = location.substr(wanted.size());
  std::string target;
  if (location.empty()) {
    target = base.target;
  } else if (wanted.empty()) {
    target = fmt::format("{}{}", path, query);
  } else if (wanted.starts_with('/')) {
    target = without_dots(wanted) + std::string(query);
  } else {
    target = without_dots(fmt::format("{}{}", path.substr(0, path.rfind('/') + 1), wanted)) +
             std::string(query);
  }
  return parse_outbound_url(
      fmt::format("{}://{}{}", base.tls ? "https" : "http", base.authority(), target));
}

}  // namespace heddle::services
