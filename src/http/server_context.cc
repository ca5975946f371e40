#include "http/server_context.h"

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

#include "http/h2_server.h"
#include "net/worker.h"

namespace heddle::http {
namespace {

constexpr std::string_view kLimitHits = "heddle_http_limit_hits_total";
constexpr std::string_view kLimitHitsHelp = "How often a limit of HTTP connections was hit";

std::uint64_t next_connection_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

ServerContext::ServerContext(net::Worker& worker_in, const ServerLimits& limits_in,
                             ServerHandler& handler_in, metrics::Registry& registry)
    : worker(worker_in),
      limits(limits_in),
      head_limits{limits_in.max_head_bytes, limits_in.max_headers, limits_in.max_target_bytes},
      handler(handler_in),
      connections_total(
          registry.counter("heddle_downstream_connections_total", "Connections accepted", {})),
      connections_active(
          registry.gauge("heddle_downstream_connections_active", "Connections open", {})),
      connection_limit_hits(
          registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", "max_connections"}})),
      send_timeout_hits(registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", "send_timeout"}})) {
  for (std::size_t i = 0; i < kRejectCount; ++i) {
    const auto reject = static_cast<Reject>(i);
    const std::string name(info(reject).name);
    rejects.push_back(is_limit(reject)
                          ? registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", name}})
                          : registry.counter("heddle_http_bad_requests_total", "Requests refused",
                                             {{"reason", name}}));
  }
  for (const std::string_view name : kHttp2LimitNames) {
    http2_limit_hits.push_back(
        registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", std::string(name)}}));
  }
}

ServerContext::~ServerContext() = default;

void ServerContext::set_limits(const ServerLimits& limits_in) {
  limits = limits_in;
  head_limits = {limits_in.max_head_bytes, limits_in.max_headers, limits_in.max_target_bytes};
}

void ServerContext::replace(ServerConnection& old, std::unique_ptr<ServerConnection> connection) {
  connection->slot = old.slot;
  std::swap(connections[old.slot], connection);
  worker.defer([gone = std::move(connection)] {});
}

H2ServerStream& ServerContext::take_h2_stream() {
  if (free_h2_streams.empty()) {
    h2_streams_.push_back(std::make_unique<H2ServerStream>());
    free_h2_streams.push_back(h2_streams_.back().get());
  }
  H2ServerStream& stream = *free_h2_streams.back();
  free_h2_streams.pop_back();
  return stream;
}

void ServerContext::use_tls(std::shared_ptr<const net::TlsServerContext> context,
                            metrics::Registry& registry) {
  tls = std::move(context);
  if (handshakes == nullptr) {
    handshakes = std::make_unique<net::TlsHandshakes>(worker.log(), registry);
  }
}

void ServerContext::add(std::unique_ptr<ServerConnection> connection) {
  connection->slot = connections.size();
  connections.push_back(std::move(connection));
}

void ServerContext::remove(ServerConnection& connection) {
  std::unique_ptr<ServerConnection> gone = std::move(connections[connection.slot]);
  if (&connection != connections.back().get() && connection.slot + 1 < connections.size()) {
    connections.back()->slot = connection.slot;
    connections[connection.slot] = std::move(connections.back());
  }
  connections.pop_back();
  worker.defer([gone = std::move(gone)] {});
}

void ServerContext::count(Reject reject) {
  rejects[static_cast<std::size_t>(reject)]->add();
}

ConnectionInfo describe_connection(const net::Fd& fd, const net::SocketAddress& remote) {
  const net::SocketAddress local = net::local_address(fd.get());
  return {.id = next_connection_id(),
          .remote_address = remote.to_string(),
          .remote_ip = remote.ip(),
          .local_address = local.to_string(),
          .remote_port = remote.port(),
          .local_port = local.port()};
}

}  // namespace heddle::http
