// The client side: connections to upstream endpoints with keep-alive, one pool per worker.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "base/result.h"
#include "http/http2_limits.h"
#include "http/message.h"
#include "http/stream.h"

namespace heddle::net {
class Worker;
class BlockingPool;
class TlsClientContext;
struct TlsInfo;
}  // namespace heddle::net

namespace heddle::http {

// Limits and time-outs of client connections; every one is a setting (config `upstreams[].limits`).
struct ClientLimits {
  std::size_t max_head_bytes = std::size_t{64} * 1024;
  std::size_t max_headers = 200;
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(5);
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(55);  // pooled and unused
  std::size_t max_idle = 256;  // pooled connections per endpoint and worker
  std::size_t max_connections =
      1024;  // per endpoint and worker; above it: StreamError::kOverflow naming the limit
  std::size_t high_watermark = std::size_t{256} * 1024;
  Http2Limits http2 = {.max_resets_per_second = 0};
  // A connection with open streams on which nothing came for so long is asked by PING, and broken
  // off when nothing comes for as long again. 0: never.
  std::chrono::nanoseconds http2_keepalive{0};
};

// What is spoken with an endpoint.
enum class ClientProtocol : std::uint8_t {
  kHttp1,
  kHttp2,  // prior knowledge on plain connections, ALPN h2 required on TLS
  kAuto,   // what ALPN chooses; HTTP/1.1 without TLS
};

// Where an exchange goes. Equal targets share connections. Callers keep one per endpoint and pass
// it by reference for each exchange; the pool copies it when it sees it first.
struct ClientTarget {
  std::string endpoint;  // "host:port"
  ClientProtocol protocol = ClientProtocol::kHttp1;
  // Null: plain.
  std::shared_ptr<const net::TlsClientContext> tls = nullptr;
  // NOLINTNEXTLINE(readability-redundant-member-init): without it designated initialisers warn
  std::string server_name = {};  // SNI and certificate check

  bool operator==(const ClientTarget&) const = default;
};

// What an upstream exchange learnt about its connection; readable from the first event on.
struct UpstreamInfo {
  std::string remote_address;  // "127.0.0.1:9000"
  std::string local_address;
  std::uint64_t connection_id = 0;
  bool reused = false;
  std::shared_ptr<const net::TlsInfo> tls = nullptr;  // null: plain
};

// A request on its way to an endpoint: a Sender for the request plus what is known of the
// connection.
class ClientStream : public Sender {
 public:
  virtual const UpstreamInfo& upstream() const = 0;
};

// All client connections of one worker.
class ClientPool {
 public:
  static std::unique_ptr<ClientPool> create(net::Worker& worker, net::BlockingPool& blocking,
                                            metrics::Registry& metrics);
  virtual ~ClientPool() = default;

  // Opens an exchange with `target.endpoint` ("host:port"; names are resolved on the blocking pool
  // and cached for a short time). Returns at once: the request may be sent before a connection
  // stands. The stream lives until `receiver` got on_complete or on_reset, or reset() was called.
  // on_reset never comes from within open() or a Sender call, always as an event of its own.
  //
  // Over HTTP/2 a request that the upstream did not look at (GOAWAY, REFUSED_STREAM) goes to
  // another connection, under the last of these conditions. A request that met a connection which
  // the peer had closed meanwhile is sent again on a fresh one, when nothing of a response came,
  // the method is idempotent (RFC 9110 section 9.2.2) and the request as sent so far was kept (up
  // to 64 KiB); otherwise on_reset(kClosed).
  virtual ClientStream& open(const ClientTarget& target, const ClientLimits& limits,
                             Receiver& receiver) = 0;

  // Closes idle connections to this endpoint, whatever is spoken there (it left the configuration).
  virtual void forget(const std::string& endpoint) = 0;
  virtual void close_idle() = 0;
  virtual std::size_t active() const = 0;
};

}  // namespace heddle::http
