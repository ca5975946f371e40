// The extension point of TCP connections: a NetworkFilter sees and changes the bytes of one
// connection, in both directions.
//
// The chain calls filters on the connection's worker, one call at a time: downstream data (from the
// client) in order of priority, upstream data in reverse. A filter acts on the connection through
// its NetworkFilterHost. What a filter asks for from within a callback happens after the callback
// has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "extension/exchange_info.h"
#include "http/buffer.h"

namespace heddle::net {
class Worker;
}

namespace heddle::extension {

enum class NetworkAction : std::uint8_t {
  kContinue,  // everything held goes on
  kStop,      // held; the next callback sees it with what follows, back-pressure at buffer_limit
};

// Who ended a connection, seen from here: kLocal is the gateway. The numbers of Proxy-Wasm's
// peer_type.
enum class Peer : std::uint8_t { kUnknown = 0, kLocal = 1, kRemote = 2 };

// The chain's side of a filter: one for each filter and connection, valid as long as the filter is.
class NetworkFilterHost {
 public:
  virtual net::Worker& worker() = 0;
  // Of HTTP it has nothing; request_id names the connection in logs.
  virtual const ExchangeInfo& info() const = 0;

  // The bytes that this filter holds now; null when it holds none and no data callback of that
  // direction is running.
  virtual http::Buffer* downstream_data() = 0;
  virtual http::Buffer* upstream_data() = 0;

  // Sends on what the filter stopped, without showing it to the filter again. Harmless when nothing
  // is stopped.
  virtual void continue_downstream() = 0;
  virtual void continue_upstream() = 0;
  // Ends the connection: what has left the filters is still sent, what they hold is dropped.
  virtual void close() = 0;

  // Values that filters of one connection leave for each other (Proxy-Wasm set_property), by raw
  // path.
  virtual Properties& properties() = 0;

 protected:
  ~NetworkFilterHost() = default;
};

class NetworkFilter {
 public:
  // The connection is over on both sides. Not called while a callback of this filter runs.
  virtual ~NetworkFilter() = default;

  // The client has connected. The filters behind this one and the connection to the upstream wait
  // until it continues. Nothing is read from the client before the upstream is connected.
  virtual NetworkAction on_new_connection() = 0;
  // `data`: everything this filter holds, the new bytes included. It may be changed in place.
  // `end`: nothing follows in this direction.
  virtual NetworkAction on_downstream_data(http::Buffer& data, bool end) = 0;
  virtual NetworkAction on_upstream_data(http::Buffer& data, bool end) = 0;
  // Each once at most. The upstream's comes with kUnknown when it has finished sending.
  virtual void on_downstream_close(Peer by) = 0;
  virtual void on_upstream_close(Peer by) = 0;
};

// Makes the filters of one plugin version. Shared by all workers; create() runs on the connection's
// worker.
class NetworkFilterFactory {
 public:
  virtual ~NetworkFilterFactory() = default;
  virtual const std::string& name() const = 0;   // of the plugin; lives as long as the factory
  virtual std::size_t buffer_limit() const = 0;  // bytes held in a direction before back-pressure
  // Null: the connection passes this filter by (a plugin that fails open). A plugin that fails
  // closed returns a filter that closes the connection.
  virtual std::unique_ptr<NetworkFilter> create_network(NetworkFilterHost& host) = 0;
};

}  // namespace heddle::extension
