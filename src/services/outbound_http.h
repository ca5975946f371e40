// HTTP requests of plugins to servers outside, by URL: only to permitted hosts, with TLS
// verification, and never to a private address unless that is permitted. The address that was
// checked is the one that is connected to, and every redirect is checked like the first URL.
//
// A call is made on a worker and answered there, as an event of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "http/client.h"
#include "net/resolver.h"
#include "services/pending_call.h"

namespace heddle::net {
class BlockingPool;
}

namespace heddle::services {

// What one plugin may reach.
struct HttpPermissions {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  // "host:port", "*.suffix:port", "host:*" (every port), "host" (ports 80 and 443), "*" (every
  // host and port).
  std::vector<std::string> hosts = {};
  // Address ranges that are reached although they are private, loopback or otherwise not public:
  // "10.0.0.0/8", "::1". An address that `hosts` names by its numbers needs none.
  std::vector<std::string> private_networks = {};
  // NOLINTEND(readability-redundant-member-init)
};

struct OutboundRequest {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  std::string plugin = {};
  std::shared_ptr<const HttpPermissions> permissions = nullptr;  // null: nothing is permitted
  std::string method = "GET";
  std::string url = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::chrono::milliseconds timeout{0};  // 0, or longer than the service's own: the service's own
  // NOLINTEND(readability-redundant-member-init)
};

struct OutboundResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // lower-case names
  std::string body;
  std::string url;  // of the last redirect
};

struct OutboundLimits {
  std::chrono::milliseconds timeout{10'000};  // from the call to its answer, redirects included
  std::size_t max_request_bytes = std::size_t{10} << 20U;
  std::size_t max_response_bytes = std::size_t{10} << 20U;
  std::size_t max_redirects = 5;
  std::size_t max_calls = 1'000;  // at a time, per worker
};

struct OutboundOptions {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  OutboundLimits limits = {};
  std::shared_ptr<const net::TlsClientContext> tls = nullptr;  // verifies; null: https fails
  std::string user_agent = "heddle";
  // NOLINTEND(readability-redundant-member-init)
};

class OutboundHttp {
 public:
  using Callback = Completion<OutboundResponse>::Callback;

  virtual ~OutboundHttp() = default;
  // Errors: kInvalidArgument (URL, method, header), kPermission (host, address), kLimit, kTimeout,
  // kUnavailable (resolve, connect, TLS, broken off).
  [[nodiscard]] virtual Pending call(net::Worker& worker, OutboundRequest request,
                                     Callback done) = 0;
};

// Keeps its connections with the workers that used it. `blocking` resolves names, and ends before
// the workers. `lookup`: another source of names, for tests.
std::unique_ptr<OutboundHttp> make_outbound_http(
    OutboundOptions options, net::BlockingPool& blocking, metrics::Registry& metrics,
    net::Resolver::Lookup lookup = net::Resolver::system_lookup);

}  // namespace heddle::services
