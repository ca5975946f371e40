// What is known of an HTTP exchange besides its messages, or of a proxied TCP connection: for
// plugin properties, the access log, metrics and X- headers. Filled in as it goes on; fields keep
// their defaults until then.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/message.h"
#include "http/server.h"

namespace heddle::extension {

struct ExchangeInfo {
  const http::ConnectionInfo* connection = nullptr;  // outlives the exchange
  std::string request_id;                            // X-Request-ID, taken from the client or made
  Nanoseconds start_wall = 0;                        // when the head had arrived; realtime clock
  Nanoseconds start = 0;                             // the same; monotonic clock
  Nanoseconds end = 0;                               // 0 while it lasts
  http::Protocol protocol = http::Protocol::kHttp11;
  bool http2_upstream = false;  // asked of the origin: HTTP/2, whatever is configured (gRPC calls)

  std::string_view route;  // id; lives as long as the exchange
  // The route's metadata by dotted name; lives as long as the exchange. Null: none.
  const std::map<std::string, std::string>* route_metadata = nullptr;
  // Values of the path's parameters, percent-decoded; "*" is the rest. Only for routes of plugins.
  std::vector<std::pair<std::string_view, std::string>> route_parameters;
  std::string_view route_upstream;     // name of the upstream that the route leads to
  std::string_view upstream;           // name of the one that was asked
  std::string upstream_address;        // "127.0.0.1:9000", once connected
  std::string upstream_local_address;  // once connected
  std::shared_ptr<const net::TlsInfo> upstream_tls = nullptr;  // null: plain
  std::string upstream_failure;                                // why the upstream failed, if it did
  int upstream_attempts = 0;                // how often the request was sent, or was tried to be
  bool upstream_retries_exhausted = false;  // another try was due and not allowed any more

  int response_code = 0;              // from the response headers on
  std::string response_code_details;  // "via_upstream", "route_not_found", a plugin's details, …
  std::string response_flags;  // Envoy's short flags: UF, UT, NR, DC …; empty when all is well
  std::uint64_t request_body_bytes = 0;
  std::uint64_t request_total_bytes = 0;  // with the head, as received
  std::uint64_t response_body_bytes = 0;
  std::uint64_t response_total_bytes = 0;  // with the head, as sent
};

// Values that filters of one exchange leave for each other (Proxy-Wasm set_property), by raw path.
struct Property {
  std::string value;
  bool read_only = false;  // set once and for all (Proxy-Wasm declare_property)
};
using Properties = std::map<std::string, Property, std::less<>>;

}  // namespace heddle::extension
