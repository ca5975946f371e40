#include "gateway/tcp_listener.h"

#include <utility>

namespace heddle::gateway {

TcpMetrics::TcpMetrics(metrics::Registry& registry, const std::string& listener)
    : accepted(registry.counter("heddle_downstream_connections_total", "Connections accepted", {})),
      open(registry.gauge("heddle_downstream_connections_active", "Connections open", {})),
      connections(registry.counter("heddle_tcp_connections_total",
                                   "Connections accepted by TCP listeners",
                                   {{"listener", listener}})),
      active(registry.gauge("heddle_tcp_connections_active",
                            "Connections of TCP listeners that are open",
                            {{"listener", listener}})),
      bytes_in(registry.counter("heddle_tcp_bytes_total",
                                "Bytes of TCP connections, from and to clients",
                                {{"listener", listener}, {"direction", "in"}})),
      bytes_out(registry.counter("heddle_tcp_bytes_total",
                                 "Bytes of TCP connections, from and to clients",
                                 {{"listener", listener}, {"direction", "out"}})),
      unreachable(registry.counter("heddle_tcp_upstream_failures_total",
                                   "TCP connections closed since no endpoint could be reached",
                                   {{"listener", listener}})),
      refused(registry.counter("heddle_tcp_refused_total",
                               "TCP connections closed since a plugin or the listener's "
                               "configuration was not there",
                               {{"listener", listener}})),
      connection_limit_hits(registry.counter("heddle_http_limit_hits_total",
                                             "How often a limit of HTTP connections was hit",
                                             {{"limit", "max_connections"}})) {}

TcpListener::TcpListener(GatewayWorker& gateway, net::Resolver& resolver,
                         const config::Listener& listener, net::Fd fd, metrics::Registry& registry)
    : gateway_(gateway),
      resolver_(resolver),
      name_(listener.name),
      max_connections_(listener.limits.max_connections),
      metrics_(registry, listener.name),
      handshakes_(gateway.log(), registry),
      acceptor_(gateway.worker(), std::move(fd), *this) {
  acceptor_.start();
}

TcpListener::~TcpListener() {
  abort();
}

void TcpListener::on_accept(net::Fd fd, const net::SocketAddress& remote) {
  if (connections_.size() >= max_connections_) {
    metrics_.connection_limit_hits->add();
    if (!std::exchange(full_, true)) {
      gateway_.log().warn("a TCP listener has its most connections; new ones are closed",
                          {{"listener", name_},
                           {"limit", "max_connections"},
                           {"connections", connections_.size()}});
    }
    return;
  }
  if (!gateway_.current()) return;  // the worker is about to go
  follow_snapshot();
  metrics_.accepted->add();
  metrics_.open->add(1);
  metrics_.connections->add();
  metrics_.active->add(1);
  connections_.push_back(std::make_unique<TcpConnection>(*this, remote));
  connections_.back()->slot = connections_.size() - 1;
  TcpConnection& added = *connections_.back();
  added.start(std::move(fd), snapshot_);
  if (retired_) added.end_outdated();
}

void TcpListener::remove(TcpConnection& connection) {
  std::unique_ptr<TcpConnection> gone = std::move(connections_[connection.slot]);
  if (gone->slot + 1 < connections_.size()) {
    connections_.back()->slot = gone->slot;
    connections_[gone->slot] = std::move(connections_.back());
  }
  connections_.pop_back();
  metrics_.open->add(-1);
  metrics_.active->add(-1);
  full_ = false;
  gateway_.worker().defer([gone = std::move(gone)] {});
}

// Backwards, since a visit may remove the visited one.
template <typename Visit>
void TcpListener::for_each(Visit visit) {
  for (std::size_t i = connections_.size(); i-- > 0;) {
    if (i < connections_.size()) visit(*connections_[i]);
  }
}

void TcpListener::follow_snapshot() {
  const auto& current = gateway_.current();
  if (!snapshot_ || (current && current->snapshot->find_tcp(name_) != nullptr)) snapshot_ = current;
}

void TcpListener::follow() {
  follow_snapshot();
  for_each([&](TcpConnection& connection) { connection.follow(gateway_.current()); });
}

void TcpListener::retire() {
  retired_ = true;
  stop_accepting();
  for_each([&](TcpConnection& connection) { connection.end_outdated(); });
}

void TcpListener::give_up() {
  for_each([](TcpConnection& connection) { connection.give_up(); });
}

void TcpListener::abort() {
  acceptor_.close();
  snapshot_.reset();
  for_each([](TcpConnection& connection) { connection.abort("shutdown"); });
}

}  // namespace heddle::gateway
