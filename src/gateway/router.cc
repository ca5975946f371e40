#include "gateway/router.h"

#include <algorithm>
#include <array>
#include <optional>

namespace heddle::gateway {
namespace {

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

// "Example.com:8080" -> "example.com"; "[::1]:80" -> "[::1]".
std::string_view host_of(std::string_view authority, std::array<char, 256>& storage) {
  std::size_t end = authority.size();
  if (!authority.empty() && authority.front() == '[') {
    if (const auto close = authority.find(']'); close != std::string_view::npos) end = close + 1;
  } else if (const auto colon = authority.rfind(':'); colon != std::string_view::npos) {
    end = colon;
  }
  authority = authority.substr(0, std::min(end, storage.size()));
  if (!authority.empty() && authority.back() == '.') authority.remove_suffix(1);
  for (std::size_t i = 0; i < authority.size(); ++i) {
    const char c = authority[i];
    storage[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  }
  return {storage.data(), authority.size()};
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// First value of a query parameter, decoded.
std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t amp = query.find('&');
    const std::string_view pair = query.substr(0, amp);
    const std::size_t eq = pair.find('=');
    if (percent_decode(pair.substr(0, eq), true) == name) {
      return eq == std::string_view::npos ? std::string()
                                          : percent_decode(pair.substr(eq + 1), true);
    }
    if (amp == std::string_view::npos) break;
    query.remove_prefix(amp + 1);
  }
  return std::nullopt;
}

std::vector<std::string_view> split_segments(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::size_t slash = path.find('/');
    out.push_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash);
  }
  return out;
}

}  // namespace

std::pair<std::string_view, std::string_view> split_target(std::string_view target) {
  const std::size_t question = target.find('?');
  if (question == std::string_view::npos) return {target, {}};
  return {target.substr(0, question), target.substr(question + 1)};
}

std::string percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += plus_is_space && text[i] == '+' ? ' ' : text[i];
  }
  return out;
}

bool has_dot_segments(std::string_view path) {
  // Most paths have neither "/." nor an encoded dot.
  if (path.find("/.") == std::string_view::npos && path.find("%2") == std::string_view::npos) {
    return false;
  }
  std::string decoded;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool encoded_dot =
        path[i] == '%' && i + 2 < path.size() && path[i + 1] == '2' && (path[i + 2] | 0x20) == 'e';
    decoded += encoded_dot ? '.' : path[i];
    if (encoded_dot) i += 2;
  }
  for (const std::string_view segment : split_segments(decoded)) {
    if (segment == "." || segment == "..") return true;
  }
  return false;
}

Router::Router(const std::vector<config::Route>& routes) {
  entries_.reserve(routes.size());
  for (std::size_t i = 0; i < routes.size(); ++i) entries_.push_back(make_entry(routes[i], i));
  for (const Entry& entry : entries_) {
    if (!entry.host.empty() && !entry.wildcard) by_host_[entry.host];
    reads_headers_ |= !entry.route->headers.empty();
  }
  for (const Entry& entry : entries_) {
    if (!entry.host.empty() && !entry.wildcard) {
      by_host_[entry.host].push_back(&entry);
      continue;
    }
    other_hosts_.push_back(&entry);
    for (auto& [host, list] : by_host_) {
      if (!entry.wildcard || host.ends_with(entry.host)) list.push_back(&entry);
    }
  }
  std::ranges::sort(other_hosts_, before);
  for (auto& [host, list] : by_host_) std::ranges::sort(list, before);
}

Router::Entry Router::make_entry(const config::Route& route, std::size_t index) {
  Entry entry;
  entry.index = index;
  entry.route = &route;
  if (route.host.starts_with("*.")) {
    entry.wildcard = true;
    entry.host = to_lower(std::string_view(route.host).substr(1));
    entry.host_rank = 1;
  } else if (!route.host.empty() && route.host != "*") {
    entry.host = to_lower(route.host);
    entry.host_rank = 2;
  }
  entry.path = route.path;
  if (entry.path.ends_with("/*")) {
    entry.prefix = true;
    entry.path.pop_back();
  }
  if (entry.path.find("/:") != std::string::npos) {
    std::string_view path = entry.path;
    if (entry.prefix) path.remove_suffix(1);
    for (const std::string_view text : split_segments(path)) {
      const bool parameter = text.starts_with(':');
      entry.segments.push_back({std::string(text.substr(parameter ? 1 : 0)), parameter});
    }
  }
  // Exact paths before those with parameters, both before prefixes; among equals the longer first.
  constexpr std::size_t kExact = 1U << 20U;
  entry.path_rank = entry.path.size() + (entry.prefix ? 0 : kExact) +
                    (!entry.prefix && entry.segments.empty() ? kExact : 0);
  return entry;
}

bool Router::before(const Entry* a, const Entry* b) {
  if (a->route->priority != b->route->priority) return a->route->priority > b->route->priority;
  if (a->host_rank != b->host_rank) return a->host_rank > b->host_rank;
  if (a->path_rank != b->path_rank) return a->path_rank > b->path_rank;
  return a->index < b->index;
}

bool Router::path_matches(const Entry& entry, std::string_view path, RouteMatch& out) {
  if (entry.segments.empty()) {
    if (!entry.prefix) return path == entry.path;
    // "/api/*" matches what is below /api/, and /api itself.
    return path.starts_with(entry.path) ||
           (path.size() + 1 == entry.path.size() && entry.path.starts_with(path));
  }
  if (!path.starts_with('/')) return false;
  const std::vector<std::string_view> parts = split_segments(path);
  if (parts.size() < entry.segments.size()) return false;
  if (!entry.prefix && parts.size() != entry.segments.size()) return false;
  out.parameters.clear();
  for (std::size_t i = 0; i < entry.segments.size(); ++i) {
    const Segment& segment = entry.segments[i];
    if (segment.parameter) {
      if (parts[i].empty()) return false;
      out.parameters.emplace_back(segment.text, parts[i]);
    } else if (segment.text != parts[i]) {
      return false;
    }
  }
  return true;
}

bool Router::conditions_match(const Entry& entry, const http::HeaderMap& headers,
                              std::string_view query) {
  for (const config::Match& want : entry.route->headers) {
    const auto value = headers.get(want.name);
    if (!value || (want.value != "*" && *value != want.value)) return false;
  }
  for (const config::Match& want : entry.route->query_params) {
    const auto value = query_value(query, want.name);
    if (!value || (want.value != "*" && *value != want.value)) return false;
  }
  return true;
}

bool Router::method_matches(const Entry& entry, std::string_view method) {
  const auto& methods = entry.route->methods;
  if (methods.empty()) return true;
  return std::ranges::any_of(methods, [&](const std::string& allowed) {
    return allowed == method || (method == "HEAD" && allowed == "GET");
  });
}

RouteMatch Router::match(const http::HeaderMap& headers) const {
  return match(headers, headers.get(":method").value_or(""));
}

RouteMatch Router::match(const http::HeaderMap& headers, std::string_view method) const {
  std::array<char, 256> storage;  // filled by host_of
  const std::string_view host = host_of(headers.get(":authority").value_or(""), storage);
  const auto [path, query] = split_target(headers.get(":path").value_or(""));

  const List* list = &other_hosts_;
  if (!by_host_.empty()) {
    if (const auto it = by_host_.find(host); it != by_host_.end()) list = &it->second;
  }
  RouteMatch out;
  std::vector<std::string_view> allowed;
  for (const Entry* entry : *list) {
    if (entry->wildcard && !(host.ends_with(entry->host) && host.size() > entry->host.size())) {
      continue;
    }
    if (!path_matches(*entry, path, out) || !conditions_match(*entry, headers, query)) continue;
    if (method_matches(*entry, method)) {
      out.route = entry->index;
      return out;
    }
    for (const std::string& name : entry->route->methods) {
      if (std::ranges::find(allowed, name) == allowed.end()) allowed.emplace_back(name);
    }
  }
  out.parameters.clear();
  for (const std::string_view name : allowed) {
    if (!out.allow.empty()) out.allow += ", ";
    out.allow += name;
  }
  return out;
}

}  // namespace heddle::gateway
