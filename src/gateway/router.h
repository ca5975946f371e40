// Chooses the route of a request. Built once for a configuration, then immutable and shared by all
// workers.
//
// Of the routes whose host, path, method, headers and query parameters all match, the first wins in
// this order: higher `priority`, more specific host (exact, wildcard, any), more specific path
// (exact, parameters, longer prefix), order in the file.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/config.h"
#include "http/header_map.h"

namespace heddle::gateway {

struct RouteMatch {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t route = kNone;  // index into the configuration's routes
  // Values of ":name" segments; both views live as long as router and request path.
  std::vector<std::pair<std::string_view, std::string_view>> parameters;
  // When route is kNone: the methods of the routes that matched but for the method ("GET, POST");
  // empty: 404.
  std::string allow;
};

class Router {
 public:
  explicit Router(const std::vector<config::Route>& routes);

  // `headers` with its pseudo-headers :authority, :path and :method.
  RouteMatch match(const http::HeaderMap& headers) const;
  // The same for another method.
  RouteMatch match(const http::HeaderMap& headers, std::string_view method) const;
  // Whether any route asks for headers beside the pseudo-headers.
  bool reads_headers() const { return reads_headers_; }

 private:
  struct Segment {
    std::string text;  // literal, or the parameter's name
    bool parameter = false;
  };
  struct Entry {
    std::size_t index = 0;
    const config::Route* route = nullptr;
    std::string host;  // lower case; of a wildcard without its '*': ".example.com"; empty: any
    bool wildcard = false;
    std::string path;  // literal path, or the prefix of a "/prefix/*" without its '*'
    bool prefix = false;
    std::vector<Segment> segments;  // only when the path has parameters
    int host_rank = 0;
    std::size_t path_rank = 0;
  };
  using List = std::vector<const Entry*>;

  static Entry make_entry(const config::Route& route, std::size_t index);
  static bool before(const Entry* a, const Entry* b);
  static bool path_matches(const Entry& entry, std::string_view path, RouteMatch& out);
  static bool conditions_match(const Entry& entry, const http::HeaderMap& headers,
                               std::string_view query);
  static bool method_matches(const Entry& entry, std::string_view method);

  std::vector<Entry> entries_;
  // Exact host -> its routes merged with the wildcard and any-host ones; other hosts use the latter
  // alone.
  std::map<std::string, List, std::less<>> by_host_;
  List other_hosts_;
  bool reads_headers_ = false;
};

// "/a/b?x=1" -> "/a/b", "x=1".
std::pair<std::string_view, std::string_view> split_target(std::string_view target);

// "%20" -> " ", in queries also "+"; a '%' without two hex digits stays.
std::string percent_decode(std::string_view text, bool plus_is_space);

// Whether a path has "." or ".." segments, also percent-encoded: a route or plugin could be passed
// by with them.
bool has_dot_segments(std::string_view path);

}  // namespace heddle::gateway
