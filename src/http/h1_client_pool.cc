#include <algorithm>
#include <utility>

#include "http/h1_client.h"

namespace heddle::http {
namespace {

constexpr std::string_view kLimitHits = "heddle_http_limit_hits_total";
constexpr std::string_view kLimitHitsHelp = "How often a limit of HTTP connections was hit";

}  // namespace

std::unique_ptr<ClientPool> ClientPool::create(net::Worker& worker, net::BlockingPool& blocking,
                                               metrics::Registry& metrics) {
  return std::make_unique<H1ClientPool>(worker, blocking, metrics);
}

H1ClientPool::H1ClientPool(net::Worker& worker_in, net::BlockingPool& blocking,
                           metrics::Registry& metrics)
    : worker(worker_in),
      resolver(worker_in, blocking),
      connections_active(
          metrics.gauge("heddle_upstream_connections_active", "Upstream connections open", {})),
      connection_limit_hits(
          metrics.counter(kLimitHits, kLimitHitsHelp, {{"limit", "upstream_max_connections"}})),
      head_limit_hits(metrics.counter(kLimitHits, kLimitHitsHelp, {{"limit", "upstream_head"}})),
      send_timeout_hits(
          metrics.counter(kLimitHits, kLimitHitsHelp, {{"limit", "upstream_send_timeout"}})),
      metrics_(metrics) {}

H1ClientPool::~H1ClientPool() {
  for (const auto& stream : streams_) worker.forget_flush(*stream);
  for (const auto& [target, endpoint] : endpoints_) {
    connections_active->add(-static_cast<std::int64_t>(endpoint->connections.size()));
  }
}

Endpoint& H1ClientPool::add_endpoint(const ClientTarget& target) {
  auto made = std::make_unique<Endpoint>();
  made->name = target.endpoint;
  made->client_target = target;
  if (auto parsed = net::parse_host_port(target.endpoint)) made->target = std::move(*parsed);
  made->connections_total =
      metrics_.counter("heddle_upstream_connections_total", "Upstream connections opened",
                       {{"endpoint", target.endpoint}});
  return *endpoints_.emplace(target, std::move(made)).first->second;
}

ClientStream& H1ClientPool::open(const ClientTarget& target, const ClientLimits& limits,
                                 Receiver& receiver) {
  const auto found = endpoints_.find(target);
  Endpoint& endpoint = found == endpoints_.end() ? add_endpoint(target) : *found->second;
  if (free_.empty()) {
    streams_.push_back(std::make_unique<H1ClientStream>(*this));
    free_.push_back(streams_.back().get());
  }
  H1ClientStream& stream = *free_.back();
  free_.pop_back();
  ++active_;
  stream.open(&endpoint, limits, receiver);
  return stream;
}

void H1ClientPool::recycle(H1ClientStream& stream) {
  worker.forget_flush(stream);
  stream.receiver = nullptr;
  stream.connection = nullptr;
  --active_;
  free_.push_back(&stream);
}

H1ClientConnection* H1ClientPool::take_idle(Endpoint& endpoint, bool checked) {
  while (!endpoint.idle.empty()) {
    H1ClientConnection* const connection = endpoint.idle.back();
    if (!checked || !connection->is_stale()) {
      endpoint.idle.pop_back();
      connection->info.reused = true;
      return connection;
    }
    connection->close();
  }
  return nullptr;
}

H1ClientConnection* H1ClientPool::connect(Endpoint& endpoint, const ClientLimits& limits) {
  if (endpoint.connections.size() < limits.max_connections)
    return &connect_unlimited(endpoint, limits);
  connection_limit_hits->add();
  return nullptr;
}

H1ClientConnection& H1ClientPool::connect_unlimited(Endpoint& endpoint,
                                                    const ClientLimits& limits) {
  endpoint.connections.push_back(std::make_unique<H1ClientConnection>(*this, endpoint));
  H1ClientConnection& connection = *endpoint.connections.back();
  endpoint.connections_total->add();
  connections_active->add(1);
  connection.connect(limits.connect_timeout);
  return connection;
}

void H1ClientPool::remove(Endpoint& endpoint, H1ClientConnection& connection) {
  auto& all = endpoint.connections;
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const auto& item) { return item.get() == &connection; });
  if (found == all.end()) return;
  std::erase(endpoint.idle, &connection);
  std::unique_ptr<H1ClientConnection> gone = std::move(*found);
  *found = std::move(all.back());
  all.pop_back();
  connections_active->add(-1);
  worker.defer([gone = std::move(gone)] {});
}

void H1ClientPool::close_idle(Endpoint& endpoint) {
  while (!endpoint.idle.empty()) endpoint.idle.back()->close();
}

void H1ClientPool::close_idle() {
  for (const auto& [target, endpoint] : endpoints_) close_idle(*endpoint);
}

void H1ClientPool::forget(const std::string& name) {
  for (const auto& [target, endpoint] : endpoints_) {
    if (target.endpoint != name) continue;
    close_idle(*endpoint);
    for (const auto& connection : endpoint->connections) connection->retired = true;
  }
}

}  // namespace heddle::http
