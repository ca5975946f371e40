// What the connections of one listener share, whatever they speak. Private to this folder.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "http/h1_parser.h"
#include "http/server.h"
#include "net/socket.h"
#include "net/tls_handshakes.h"

namespace heddle::http {

// A connection as its listener sees it. Removes itself from the context when it closes.
class ServerConnection {
 public:
  virtual ~ServerConnection() = default;
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;

  virtual void drain() = 0;  // closes after the exchanges in flight
  virtual void abort() = 0;
  std::size_t slot = 0;  // in ServerContext::connections

 protected:
  ServerConnection() = default;
};

// How long a draining connection that had no request yet may still send one.
inline constexpr std::chrono::seconds kFirstRequestTime{1};

class H2ServerStream;

struct ServerContext {
  ServerContext(net::Worker& worker_in, const ServerLimits& limits_in, ServerHandler& handler_in,
                metrics::Registry& registry);
  ~ServerContext();
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  void set_limits(const ServerLimits& limits_in);
  void add(std::unique_ptr<ServerConnection> connection);
  void remove(ServerConnection& connection);  // destroys it at the end of the scope
  // In the place of `old`, which goes at the end of the scope: the connection speaks something
  // else.
  void replace(ServerConnection& old, std::unique_ptr<ServerConnection> connection);
  void count(Reject reject);
  void use_tls(std::shared_ptr<const net::TlsServerContext> context, metrics::Registry& registry);
  H2ServerStream& take_h2_stream();  // given back by free_h2_streams

  net::Worker& worker;
  ServerLimits limits;
  HeadLimits head_limits;
  ServerHandler& handler;
  std::vector<std::unique_ptr<ServerConnection>> connections;
  bool draining = false;
  std::shared_ptr<const net::TlsServerContext> tls;  // null: plain
  std::unique_ptr<net::TlsHandshakes> handshakes;    // with tls
  std::shared_ptr<metrics::Counter> connections_total;
  std::shared_ptr<metrics::Gauge> connections_active;
  std::shared_ptr<metrics::Counter> connection_limit_hits;
  std::shared_ptr<metrics::Counter> send_timeout_hits;
  std::vector<std::shared_ptr<metrics::Counter>> rejects;           // by Reject
  std::vector<std::shared_ptr<metrics::Counter>> http2_limit_hits;  // by Http2Limit
  std::vector<H2ServerStream*> free_h2_streams;

 private:
  std::vector<std::unique_ptr<H2ServerStream>> h2_streams_;
};

}  // namespace heddle::http
