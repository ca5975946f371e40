// GET /routes and /upstreams: bare arrays as Loom gives them.
#include <boost/json.hpp>
#include <utility>

#include "admin/handlers.h"
#include "config/json.h"

namespace heddle::admin {
namespace {

namespace json = boost::json;

json::array strings(const std::vector<std::string>& values) {
  json::array out(values.begin(), values.end());
  return out;
}

json::object pairs(const std::vector<std::pair<std::string, std::string>>& values) {
  json::object out;
  for (const auto& [name, value] : values) {
    out[name] = config::sounds_secret(name) ? std::string("***") : value;
  }
  return out;
}

json::object route_value(const RouteView& route) {
  json::object out{{"id", route.id},
                   {"host", route.host},
                   {"path", route.path},
                   {"methods", strings(route.methods)},
                   {"headers", pairs(route.headers)},
                   {"query_params", pairs(route.query_params)},
                   {"upstream", route.upstream},
                   {"plugins", strings(route.plugins)},
                   {"strip_prefix", route.strip_prefix},
                   {"timeout_ms", route.timeout.count()},
                   {"priority", route.priority}};
  if (!route.unavailable.empty()) out["unavailable"] = route.unavailable;
  return out;
}

json::object upstream_value(const UpstreamView& upstream) {
  json::array endpoints;
  for (const EndpointView& endpoint : upstream.endpoints) {
    endpoints.push_back({{"address", endpoint.address},
                         {"host", endpoint.host},
                         {"weight", endpoint.weight},
                         {"healthy", endpoint.healthy},
                         {"state", endpoint.state},
                         {"active_connections", endpoint.active_connections},
                         {"failures", endpoint.failures},
                         {"ejections", endpoint.ejections}});
  }
  json::object out{{"name", upstream.name},
                   {"endpoints", std::move(endpoints)},
                   {"load_balancer", upstream.load_balancer},
                   {"circuit_state", upstream.circuit_state},
                   {"health_status", upstream.health_status},
                   {"active_requests", upstream.active_requests},
                   {"pending_requests", upstream.pending_requests},
                   {"retries", upstream.retries}};
  if (!upstream.builtin.empty()) out["builtin"] = upstream.builtin;
  return out;
}

}  // namespace

void list_routes(const ApiDependencies& api, const Call&, Respond respond) {
  json::array out;
  for (const RouteView& route : api.gateway.routes()) out.push_back(route_value(route));
  respond(json_response(out));
}

void list_upstreams(const ApiDependencies& api, const Call&, Respond respond) {
  json::array out;
  for (const UpstreamView& upstream : api.gateway.upstreams())
    out.push_back(upstream_value(upstream));
  respond(json_response(out));
}

}  // namespace heddle::admin
