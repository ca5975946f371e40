#include "admin/api.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "admin/handlers.h"

namespace heddle::admin {
namespace {

struct Route {
  std::string_view method;
  std::string_view pattern;  // {name} stands for one segment
  Handler handler;
  bool is_public = false;  // answered without credentials
};

constexpr std::array<Route, 19> kRoutes = {{
    {"GET", "/plugins", list_plugins},
    {"GET", "/plugins/{name}", show_plugin},
    {"POST", "/plugins/{name}/reload", reload_plugin},
    {"POST", "/plugins/{name}/enable", enable_plugin},
    {"POST", "/plugins/{name}/disable", disable_plugin},
    {"POST", "/plugins/{name}/execute", execute_plugin},
    // The same as Orbis writes them.
    {"POST", "/api/plugins/{name}/enable", enable_plugin},
    {"POST", "/api/plugins/{name}/disable", disable_plugin},
    {"POST", "/api/plugins/{name}/reload", reload_plugin},
    {"GET", "/events", list_events},
    {"GET", "/routes", list_routes},
    {"GET", "/upstreams", list_upstreams},
    {"GET", "/config", show_config},
    {"POST", "/config/reload", reload_config},
    {"POST", "/config/validate", validate_config},
    {"GET", "/info", show_info},
    {"GET", "/health", show_health, true},
    {"GET", "/ready", show_ready, true},
    {"GET", "/metrics", show_metrics},
}};

std::string_view path_of(std::string_view target) {
  std::string_view path = target.substr(0, target.find('?'));
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// Cuts the first segment off, with the slash before it.
std::string_view take_segment(std::string_view& path) {
  const std::size_t end = std::min(path.find('/', 1), path.size());
  const std::string_view segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

// What stands for {name} (empty when the pattern has none), or nothing when the path does not
// match.
std::optional<std::string> match(std::string_view pattern, std::string_view path) {
  std::string name;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = take_segment(pattern);
    const std::string_view segment = take_segment(path);
    if (wanted == "/{name}" && segment.size() > 1) {
      name = percent_decode(segment.substr(1));
    } else if (wanted != segment) {
      return std::nullopt;
    }
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return name;
}

bool accepts(const Route& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

Response method_not_allowed(const std::string& allowed) {
  Response out = error_response(405, "method_not_allowed", "this path takes " + allowed);
  out.headers.emplace_back("allow", allowed);
  return out;
}

// A change is worth a line in the log: who asked for what, and what came of it.
Respond logged(Log& log, const Request& request, Respond respond) {
  return [&log, method = request.method, target = request.target, remote = request.remote_ip,
          user = request.user, respond = std::move(respond)](Response response) mutable {
    log.info("admin request", {{"method", method},
                               {"target", target},
                               {"remote", remote},
                               {"user", user},
                               {"status", response.status}});
    respond(std::move(response));
  };
}

}  // namespace

Api::Api(ApiDependencies dependencies) : dependencies_(std::move(dependencies)) {}

void Api::handle(const Request& request, Respond respond) const {
  const std::string_view target = request.target;
  const std::size_t mark = std::min(target.find('?'), target.size());
  std::string_view path = path_of(target);
  if (const auto config = dependencies_.config(); config && path == path_of(config->metrics_path)) {
    path = "/metrics";
  }
  std::string allowed;
  for (const Route& route : kRoutes) {
    auto name = match(route.pattern, path);
    if (!name) continue;
    if (!accepts(route, request.method)) {
      if (!allowed.empty()) allowed += ", ";
      allowed += route.method == "GET" ? "GET, HEAD" : route.method;
      continue;
    }
    if (route.method == "POST") {
      respond = logged(dependencies_.log, request, std::move(respond));
      // The control thread is busy with the end; afterwards a change would be of no use.
      if (dependencies_.gateway.phase() == Phase::kDraining) {
        return respond(error_response(503, "draining", "the server is stopping"));
      }
    }
    const Call call{request, std::move(*name), target.substr(std::min(mark + 1, target.size()))};
    return route.handler(dependencies_, call, std::move(respond));
  }
  if (!allowed.empty()) return respond(method_not_allowed(allowed));
  respond(error_response(404, "not_found",
                         "the admin API has no such path; see GET /plugins, /routes, /upstreams, "
                         "/config, /info, /health, /ready, /metrics, /events"));
}

bool Api::is_public(std::string_view target) {
  const std::string_view path = path_of(target);
  return std::ranges::any_of(
      kRoutes, [&](const Route& route) { return route.is_public && route.pattern == path; });
}

bool Api::is_events(const Request& request) {
  return request.method == "GET" && path_of(request.target) == "/events";
}

}  // namespace heddle::admin
