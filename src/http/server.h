// The server side: listeners that accept connections on a worker and speak HTTP on them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "base/result.h"
#include "http/http2_limits.h"
#include "http/message.h"
#include "http/stream.h"
#include "net/socket.h"

namespace heddle::net {
class Fd;
class SocketAddress;
class TlsServerContext;
class Worker;
struct TlsInfo;
}  // namespace heddle::net

namespace heddle::http {

// What a connection is, for logs, X-Forwarded-* and plugin properties. Outlives every stream on it.
struct ConnectionInfo {
  std::uint64_t id = 0;        // unique in the process
  std::string remote_address;  // "127.0.0.1:50123", "[::1]:50123"
  std::string remote_ip;       // without the port and brackets
  std::string local_address;
  std::uint16_t remote_port = 0;
  std::uint16_t local_port = 0;
  bool tls = false;
  std::shared_ptr<const net::TlsInfo> tls_info = nullptr;  // null: plain
};
// Of an accepted socket, with a new id.
ConnectionInfo describe_connection(const net::Fd& fd, const net::SocketAddress& remote);

// Limits and time-outs of server connections; every one is a setting (config `listeners[].limits`).
struct ServerLimits {
  std::size_t max_head_bytes = std::size_t{64} * 1024;    // 431
  std::size_t max_headers = 100;                          // 431
  std::size_t max_target_bytes = std::size_t{16} * 1024;  // 414
  std::uint64_t max_body_bytes = 0;                       // 413; 0 = no limit here
  std::chrono::nanoseconds idle_timeout =
      std::chrono::seconds(60);  // between requests; closes silently
  std::chrono::nanoseconds head_timeout =
      std::chrono::seconds(10);  // first byte to end of head; 408
  std::chrono::nanoseconds body_timeout =
      std::chrono::seconds(30);  // between two reads of a body; 408
  std::chrono::nanoseconds send_timeout =
      std::chrono::seconds(30);  // no progress in writing; closes
  std::size_t high_watermark =
      std::size_t{256} * 1024;          // unsent bytes above which Sender::above_watermark is true
  std::size_t max_connections = 10000;  // per worker; above it connections are closed on accept
  Http2Limits http2;
};

// Gets the requests of all connections of one listener on one worker. Implemented by the gateway
// and the admin API.
class ServerHandler {
 public:
  virtual ~ServerHandler() = default;
  // A request head arrived completely. The returned receiver gets its body and must answer through
  // `sender`; it lives until its on_complete or on_reset. `sender` lives as long.
  virtual Receiver* on_request(Sender& sender, const ConnectionInfo& connection, HeadPtr head,
                               bool end) = 0;
  // A request that cannot be given to on_request (malformed, too large, too slow). Returns the JSON
  // body of the answer; the connection sends it with `status` and closes. Also the place to count
  // and log it.
  virtual std::string on_bad_request(const ConnectionInfo& connection, int status,
                                     std::string_view reason) = 0;
};

// A listening socket of one worker (SO_REUSEPORT). The address was probed without it by
// reserve_address() before.
class Listener {
 public:
  // `address`: "127.0.0.1:8080", ":8080" (all addresses), "[::1]:8080"; port 0 picks one, see
  // local_port().
  static Result<std::unique_ptr<Listener>> create(net::Worker& worker, const std::string& address,
                                                  const ServerLimits& limits,
                                                  ServerHandler& handler,
                                                  metrics::Registry& metrics);
  // On a socket that listens already.
  static std::unique_ptr<Listener> create(net::Worker& worker, net::Fd listening,
                                          const ServerLimits& limits, ServerHandler& handler,
                                          metrics::Registry& metrics);
  virtual ~Listener() = default;
  virtual std::uint16_t local_port() const = 0;
  // Connections that are accepted from now on speak TLS with this context; those that stand keep
  // theirs. ALPN chooses the protocol.
  virtual void use_tls(std::shared_ptr<const net::TlsServerContext> context) = 0;
  // For requests that come from now on; HTTP/2 connections keep those they began with.
  virtual void set_limits(const ServerLimits& limits) = 0;
  // Accepts who has begun to connect, then closes the socket; see net::Acceptor::stop().
  // Connections go on.
  virtual void stop_accepting() = 0;
  // The socket, for another listener; this one accepts nothing more.
  virtual net::Fd release() = 0;
  // Tells every connection to close after the exchange in flight (Connection: close) and closes
  // idle ones.
  virtual void drain() = 0;
  // Closes everything at once.
  virtual void abort() = 0;
  virtual std::size_t connections() const = 0;
  virtual bool ended() const = 0;  // accepts nothing more, and has no connection
};

// An address that this process may listen on: nobody else gets it while this lives, not even by
// asking for any free port. Listeners share it (SO_REUSEPORT).
struct ReservedAddress {
  std::string address;  // concrete: port 0 was replaced by a free port
  net::Fd hold;         // bound, never listens
};

// Fails with a clear text ("address 127.0.0.1:8080 is in use …") when somebody holds the address;
// with kShared only when that was not by this process or user.
Result<ReservedAddress> reserve_address(const std::string& address,
                                        net::Sharing sharing = net::Sharing::kExclusive);

}  // namespace heddle::http
