#include "config/formats.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace heddle::config {
namespace {

constexpr std::size_t kLongestName = 128;
constexpr std::size_t kLongestHost = 253;

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

void lower(std::string& text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

Complaint complain(std::string_view value, std::string_view what, std::string_view hint) {
  return {.message = concat(quote(value), " ", what), .hint = std::string(hint)};
}

// 0 to 65535, decimal; -1 otherwise.
int parse_port(std::string_view text) {
  int port = -1;
  if (text.empty() || text.size() > 5 || !is_digit(text.front())) return -1;
  const auto result = std::from_chars(text.begin(), text.end(), port);
  return result.ec == std::errc() && result.ptr == text.end() && port <= 65'535 ? port : -1;
}

// A decimal number of up to three digits; -1 otherwise.
int parse_number(std::string_view text) {
  return text.size() <= 3 ? parse_port(text) : -1;
}

bool has_form(std::string_view value, std::initializer_list<std::string_view> beginnings) {
  return std::ranges::any_of(beginnings, [&](std::string_view beginning) {
    return value.starts_with(beginning) && value.size() > beginning.size();
  });
}

bool is_ipv6_literal(std::string_view host) {
  if (host.size() < 4 || host.front() != '[' || host.back() != ']') return false;
  const std::string_view inside = host.substr(1, host.size() - 2);
  return inside.contains(':') && std::ranges::all_of(inside, [](char c) {
           return is_hex(c) || c == ':' || c == '.' || c == '%' || is_letter(c);
         });
}

// Labels of letters, digits, '-' and '_', joined by dots; a final dot is allowed. IPv4 addresses
// are of this form.
bool is_dns_name(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host.size() > kLongestHost) return false;
  char before = '.';
  for (const char c : host) {
    if (c == '.' && before == '.') return false;
    if (c != '.' && !is_digit(c) && !is_letter(c) && c != '-' && c != '_') return false;
    before = c;
  }
  return before != '.';
}

bool is_host(std::string_view host) {
  return is_ipv6_literal(host) || is_dns_name(host);
}

struct HostPort {
  std::string_view host;
  std::string_view port;
  bool has_port = false;
};

// Splits at the last colon that is not inside of brackets.
HostPort split_address(std::string_view address) {
  const std::size_t bracket = address.rfind(']');
  const std::size_t colon = address.rfind(':');
  const bool inside =
      bracket != std::string_view::npos && colon != std::string_view::npos && colon < bracket;
  if (colon == std::string_view::npos || inside) return {.host = address, .port = {}};
  return {.host = address.substr(0, colon), .port = address.substr(colon + 1), .has_port = true};
}

// Something:else:port is an IPv6 address that lacks its brackets.
bool lacks_brackets(const HostPort& split) {
  return split.host.contains(':') && !split.host.starts_with('[');
}

std::optional<Complaint> check_segment(std::string_view path, std::string_view segment, bool last,
                                       std::vector<std::string_view>& parameters) {
  if (segment.contains('{') || segment.contains('}')) {
    return complain(path, "uses {…}", "write a parameter as :name, for example /users/:id");
  }
  if (segment.contains('*') && (segment != "*" || !last)) {
    return complain(path, "has a * that is not its last segment", "for example /api/*");
  }
  if (!segment.starts_with(':')) return std::nullopt;
  const std::string_view name = segment.substr(1);
  if (name.empty()) return complain(path, "has a parameter without name", "for example /users/:id");
  const bool valid = std::ranges::all_of(
      name, [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '-'; });
  if (!valid) {
    return complain(path, concat("has a parameter with an odd name, ", quote(name)),
                    "letters, digits, _ and -; for example :id");
  }
  if (std::ranges::find(parameters, name) != parameters.end()) {
    return complain(path, concat("has the parameter :", name, " twice"), "name them apart");
  }
  parameters.push_back(name);
  return std::nullopt;
}

}  // namespace

std::optional<Complaint> check_text(std::string& value) {
  if (std::ranges::none_of(value, is_control)) return std::nullopt;
  // The value is not shown: it may be a secret.
  return Complaint{.message = "the value contains control characters",
                   .hint = "remove line breaks and the like"};
}

std::optional<Complaint> check_body(std::string& /*value*/) {
  return std::nullopt;
}

std::optional<Complaint> check_name(std::string& value) {
  static constexpr std::string_view kHint =
      "up to 128 characters without spaces, /, ?, #, % and quotes; for example my-plugin";
  if (value.empty()) return Complaint{.message = "a name is empty", .hint = std::string(kHint)};
  const bool odd = value.size() > kLongestName || std::ranges::any_of(value, [](char c) {
                     return is_control(c) || std::string_view(" /?#%\"'\\").contains(c);
                   });
  if (odd) return complain(value, "is not a name", kHint);
  return std::nullopt;
}

std::optional<Complaint> check_token(std::string& value) {
  const bool valid = !value.empty() && std::ranges::all_of(value, [](char c) {
    return is_letter(c) || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~").contains(c);
  });
  if (valid) return std::nullopt;
  return complain(value, "is not a token of HTTP", "for example GET or x-request-id");
}

std::optional<Complaint> check_listen_address(std::string& value) {
  static constexpr std::string_view kHint = "for example 127.0.0.1:8080, :8080 or [::]:8080";
  const HostPort split = split_address(value);
  if (lacks_brackets(split)) {
    return complain(value, "has an IPv6 address without brackets", kHint);
  }
  if (!split.has_port) return complain(value, "lacks its port", kHint);
  if (parse_port(split.port) < 0) return complain(value, "has no port from 0 to 65535", kHint);
  if (!split.host.empty() && !is_host(split.host)) {
    return complain(value, "is not an address to listen on", kHint);
  }
  return std::nullopt;
}

std::optional<Complaint> check_endpoint(std::string& value) {
  static constexpr std::string_view kHint = "for example backend.local:9000 or [::1]:9000";
  std::string address = value;
  std::string_view scheme;
  if (address.starts_with("http://")) scheme = "http://";
  if (address.starts_with(kHttps)) scheme = kHttps;
  if (!scheme.empty()) {
    address.erase(0, scheme.size());
    if (address.ends_with('/')) address.pop_back();
    if (!split_address(address).has_port) address += scheme == kHttps ? ":443" : ":80";
  }
  const HostPort split = split_address(address);
  if (address.contains('/')) return complain(value, "is more than a host and a port", kHint);
  if (lacks_brackets(split)) {
    return complain(value, "has an IPv6 address without brackets", kHint);
  }
  if (!is_host(split.host)) return complain(value, "does not name a host", kHint);
  if (!split.has_port) return complain(value, "lacks its port", kHint);
  if (parse_port(split.port) < 1) return complain(value, "has no port from 1 to 65535", kHint);
  value = scheme == kHttps ? concat(kHttps, address) : address;
  return std::nullopt;
}

std::optional<Complaint> check_server_name(std::string& value) {
  if (!value.empty() && !is_host(value)) {
    return complain(value, "is not a host", "for example api.internal");
  }
  lower(value);
  return std::nullopt;
}

std::optional<Complaint> check_host(std::string& value) {
  static constexpr std::string_view kHint = "for example \"*\", api.example.com or *.example.com";
  std::string_view name = value;
  if (name == "*") return std::nullopt;
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (split_address(name).has_port && !lacks_brackets(split_address(name))) {
    return complain(value, "has a port; a route's host is without", kHint);
  }
  if (!is_host(name)) return complain(value, "is not a host", kHint);
  lower(value);
  return std::nullopt;
}

std::optional<Complaint> check_allowed_host(std::string& value) {
  const HostPort split = split_address(value);
  if (is_host(split.host) && (!split.has_port || parse_port(split.port) > 0)) {
    lower(value);
    return std::nullopt;
  }
  return complain(value, "is not a host", "for example gateway.internal or gateway.internal:9091");
}

std::optional<Complaint> check_route_path(std::string& value) {
  if (!value.starts_with('/')) {
    return complain(value, "does not begin with /", "for example /api/* or /users/:id");
  }
  if (value.find_first_of("?# ") != std::string::npos || std::ranges::any_of(value, is_control)) {
    return complain(value, "contains a space, ?, # or a control character",
                    "the path alone; query_params match the query");
  }
  std::vector<std::string_view> parameters;
  std::string_view rest = std::string_view(value).substr(1);
  while (true) {
    const std::size_t slash = rest.find('/');
    const bool last = slash == std::string_view::npos;
    if (auto complaint = check_segment(value, rest.substr(0, slash), last, parameters)) {
      return complaint;
    }
    if (last) return std::nullopt;
    rest.remove_prefix(slash + 1);
  }
}

std::optional<Complaint> check_url_path(std::string& value) {
  const bool odd =
      value.find_first_of("?# ") != std::string::npos || std::ranges::any_of(value, is_control);
  if (value.starts_with('/') && !odd) return std::nullopt;
  return complain(value, "is not a path", "for example /metrics");
}

std::optional<Complaint> check_metrics_path(std::string& value) {
  // The first segments of the admin API's paths.
  static constexpr std::array<std::string_view, 9> kAdminPaths = {
      "plugins", "api", "events", "routes", "upstreams", "config", "info", "health", "ready"};
  if (auto complaint = check_url_path(value)) return complaint;
  const std::string_view first =
      std::string_view(value).substr(1, std::string_view(value).find('/', 1) - 1);
  if (std::ranges::find(kAdminPaths, first) == kAdminPaths.end()) return std::nullopt;
  return complain(value, "is a path of the admin API", "for example /metrics");
}

std::optional<Complaint> check_request_target(std::string& value) {
  const bool odd =
      value.find_first_of("# ") != std::string::npos || std::ranges::any_of(value, is_control);
  if (value.starts_with('/') && !odd) return std::nullopt;
  return complain(value, "is not a path", "for example /status?full=1");
}

std::optional<Complaint> check_outbound(std::string& value) {
  if (value == "*") return std::nullopt;
  const HostPort split = split_address(value);
  std::string_view host = split.host;
  if (host.starts_with("*.")) host.remove_prefix(2);
  const bool any_port = split.port == "*";
  if (is_host(host) && split.has_port && (any_port || parse_port(split.port) > 0)) {
    lower(value);
    return std::nullopt;
  }
  return complain(value, "is not an address that a plugin may call",
                  "for example auth.internal:443, *.example.com:80 or \"*\"");
}

std::optional<Complaint> check_network(std::string& value) {
  const std::size_t slash = value.find('/');
  const std::string address = value.substr(0, slash);
  in6_addr bytes{};
  const int longest = inet_pton(AF_INET, address.c_str(), &bytes) == 1    ? 32
                      : inet_pton(AF_INET6, address.c_str(), &bytes) == 1 ? 128
                                                                          : -1;
  int bits = longest;
  const char* end = value.data() + value.size();
  const bool readable =
      slash == std::string::npos ||
      std::from_chars(value.data() + slash + 1, end, bits) == std::from_chars_result{end, {}};
  if (readable && bits >= 0 && bits <= longest) return std::nullopt;
  return complain(value, "is no range of addresses", "for example 10.0.0.0/8 or ::1");
}

std::optional<Complaint> check_status_range(std::string& value) {
  const std::string_view text = value;
  const std::size_t dash = text.find('-');
  const int first = parse_number(text.substr(0, dash));
  const int last = dash == std::string_view::npos ? first : parse_number(text.substr(dash + 1));
  if (first >= 100 && first <= last && last <= 599) return std::nullopt;
  return complain(value, "is neither a status nor a range of them", "for example 503 or 500-599");
}

std::optional<Complaint> check_grpc_code(std::string& value) {
  const int code = parse_number(value);
  if (code >= 0 && code <= 16) return std::nullopt;
  return complain(value, "is no status of gRPC", "a number from 0 to 16, for example 14");
}

std::optional<Complaint> check_hash_key(std::string& value) {
  if (value == "source") return std::nullopt;
  for (const std::string_view kind : {"header:", "cookie:"}) {
    if (!value.starts_with(kind)) continue;
    std::string name = value.substr(kind.size());
    if (check_token(name)) break;
    if (kind == "header:") lower(value);
    return std::nullopt;
  }
  return complain(value, "does not say what of a request to hash",
                  "source, header:NAME or cookie:NAME");
}

std::optional<Complaint> check_variable_name(std::string& value) {
  const bool valid = !value.empty() && std::ranges::none_of(value, [](char c) {
    return is_control(c) || c == '=' || c == ' ';
  });
  if (valid) return std::nullopt;
  return complain(value, "is not the name of an environment variable", "for example REGION");
}

std::optional<Complaint> check_plugin_path(std::string& value) {
  if (value.empty()) {
    return Complaint{.message = "the path is empty", .hint = "for example plugins/auth.wasm"};
  }
  if (value.contains("://")) {
    return complain(value, "is an address; fetching plugins is not in this version of Heddle",
                    "give the path of a .wasm file");
  }
  return check_text(value);
}

// The value itself stays out of the message: whoever reads the log need not see it.
std::optional<Complaint> check_password_hash(std::string& value) {
  static constexpr std::array<std::string_view, 3> kBcrypt = {"$2a$", "$2b$", "$2y$"};
  static constexpr std::size_t kBcryptLength = 60;
  const bool bcrypt =
      value.size() == kBcryptLength &&
      std::ranges::any_of(kBcrypt, [&](auto prefix) { return value.starts_with(prefix); });
  const bool argon2 = value.starts_with("$argon2id$") && std::ranges::count(value, '$') == 5;
  if ((bcrypt || argon2) &&
      std::ranges::none_of(value, [](char c) { return is_control(c) || c == ' '; })) {
    return std::nullopt;
  }
  return Complaint{.message = "the value is not an argon2id or bcrypt hash",
                   .hint =
                       "for example $argon2id$v=19$m=65536,t=3,p=1$salt$hash or $2y$10$… with 60 "
                       "characters; never the password itself"};
}

// The values of both stay out of the messages: they may have a password in them.
std::optional<Complaint> check_postgres_url(std::string& value) {
  const bool words = value.contains('=') && !value.contains("://");
  if (value.empty() || words || has_form(value, {"postgresql://", "postgres://"})) {
    return std::nullopt;
  }
  return Complaint{.message = "the value is not a PostgreSQL database",
                   .hint = "postgresql://user:password@host/database"};
}

std::optional<Complaint> check_storage_url(std::string& value) {
  if (value.empty() || has_form(value, {"sqlite:", "postgresql://", "postgres://"})) {
    return std::nullopt;
  }
  return Complaint{.message = "the value is not a database of the message service",
                   .hint = "sqlite:data/messages.db, or postgresql://user:password@host/database"};
}

std::optional<Complaint> check_sha256(std::string& value) {
  if (value.starts_with("sha256:")) value.erase(0, 7);
  if (!value.empty() && (value.size() != 64 || !std::ranges::all_of(value, is_hex))) {
    return complain(value, "is not a SHA-256", "64 hexadecimal digits, as sha256sum prints them");
  }
  lower(value);
  return std::nullopt;
}

}  // namespace heddle::config
