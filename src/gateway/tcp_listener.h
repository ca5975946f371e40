// A TCP listener on one worker: accepts connections and hands them to the upstream that the
// snapshot in force names for it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "gateway/gateway_worker.h"
#include "gateway/tcp_connection.h"
#include "net/acceptor.h"
#include "net/resolver.h"
#include "net/tls_handshakes.h"

namespace heddle::gateway {

struct TcpMetrics {
  TcpMetrics(metrics::Registry& registry, const std::string& listener);
  std::shared_ptr<metrics::Counter> accepted;  // of all listeners, as those of HTTP
  std::shared_ptr<metrics::Gauge> open;
  std::shared_ptr<metrics::Counter> connections;
  std::shared_ptr<metrics::Gauge> active;
  std::shared_ptr<metrics::Counter> bytes_in;   // from clients
  std::shared_ptr<metrics::Counter> bytes_out;  // to clients
  std::shared_ptr<metrics::Counter> unreachable;
  std::shared_ptr<metrics::Counter> refused;
  std::shared_ptr<metrics::Counter> connection_limit_hits;
};

// Worker thread only.
class TcpListener final : net::Acceptor::Observer {
 public:
  TcpListener(GatewayWorker& gateway, net::Resolver& resolver, const config::Listener& listener,
              net::Fd fd, metrics::Registry& registry);
  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  // There is a new snapshot in force.
  void follow();
  // For connections that come from now on; idle times are the snapshot's.
  void set_limits(const config::ListenerLimits& limits) {
    max_connections_ = limits.max_connections;
  }
  void stop_accepting() { acceptor_.stop(); }
  net::Fd release() { return acceptor_.release(); }  // the socket, for another listener
  // It has left the configuration, or its address did: connections end after drain_timeout.
  void retire();
  bool retired() const { return retired_; }
  // Connections end now, softly.
  void give_up();
  void abort();
  std::size_t connections() const { return connections_.size(); }
  bool ended() const { return !acceptor_.open() && connections_.empty(); }

  // For connections.
  void remove(TcpConnection& connection);
  GatewayWorker& gateway() { return gateway_; }
  net::Resolver& resolver() { return resolver_; }
  const std::string& name() const { return name_; }
  TcpMetrics& metrics() { return metrics_; }
  net::TlsHandshakes& handshakes() { return handshakes_; }

 private:
  void follow_snapshot();
  template <typename Visit>
  void for_each(Visit visit);
  void on_accept(net::Fd fd, const net::SocketAddress& remote) override;

  GatewayWorker& gateway_;
  net::Resolver& resolver_;
  std::string name_;
  std::size_t max_connections_;
  TcpMetrics metrics_;
  net::TlsHandshakes handshakes_;
  std::vector<std::unique_ptr<TcpConnection>> connections_;
  // The last one in force that has the listener: a connection may come when a reload has taken it
  // away already.
  std::shared_ptr<const BoundSnapshot> snapshot_;
  bool retired_ = false;
  bool full_ = false;  // at its most connections, and the log says so
  net::Acceptor acceptor_;
};

}  // namespace heddle::gateway
