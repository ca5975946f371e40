#include "http/client_context.h"

#include <utility>

namespace heddle::http {
namespace {

constexpr std::string_view kLimitHits = "heddle_http_limit_hits_total";
constexpr std::string_view kLimitHitsHelp = "How often a limit of HTTP connections was hit";

std::shared_ptr<metrics::Counter> connections_to(const std::string& endpoint,
                                                 metrics::Registry& registry) {
  return registry.counter("heddle_upstream_connections_total", "Upstream connections opened",
                          {{"endpoint", endpoint}});
}

}  // namespace

ClientContext::ClientContext(net::Worker& worker_in, net::BlockingPool& blocking,
                             metrics::Registry& registry)
    : worker(worker_in),
      resolver(worker_in, blocking),
      metrics(registry),
      connections_active(
          registry.gauge("heddle_upstream_connections_active", "Upstream connections open", {})),
      connection_limit_hits(
          registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", "upstream_max_connections"}})),
      head_limit_hits(registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", "upstream_head"}})),
      send_timeout_hits(
          registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", "upstream_send_timeout"}})) {
  for (const std::string_view name : kHttp2LimitNames) {
    http2_limit_hits.push_back(
        registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", "upstream_" + std::string(name)}}));
  }
}

ClientEndpoint::ClientEndpoint(ClientContext& context, const ClientTarget& target_in)
    : target(target_in), connections_total(connections_to(target_in.endpoint, context.metrics)) {
  if (auto parsed = net::parse_host_port(target.endpoint)) address = std::move(*parsed);
}

void ClientEndpoint::count_connection(ClientContext& context) {
  if (!connections_total) connections_total = connections_to(target.endpoint, context.metrics);
  connections_total->add();
}

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" ||
         method == "PUT" || method == "DELETE";
}

}  // namespace heddle::http
