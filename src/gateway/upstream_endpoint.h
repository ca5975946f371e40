// The endpoints of an upstream: what is known of each address, shared by all workers, and the set
// of them that requests choose from.
//
// An EndpointState changes by atomics only and outlives reloads that keep its address. An
// EndpointSet never changes: a new one is published when the configuration or a name's addresses
// change (UpstreamState).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "config/config.h"
#include "http/client.h"

namespace heddle::gateway {

class EndpointState {
 public:
  // Why an endpoint should not be used; it is usable when there is no reason.
  enum Fault : std::uint8_t { kUnhealthy = 1, kEjected = 2 };

  EndpointState(const std::string& upstream, std::string address, metrics::Registry& metrics);
  ~EndpointState();
  EndpointState(const EndpointState&) = delete;
  EndpointState& operator=(const EndpointState&) = delete;

  const std::string& address() const { return address_; }
  bool usable() const { return faults_.load(std::memory_order_relaxed) == 0; }
  bool has(Fault fault) const { return (faults_.load(std::memory_order_relaxed) & fault) != 0; }
  // True when that changed something.
  bool add(Fault fault);
  bool remove(Fault fault);

  // Requests in a row that failed; any worker.
  std::atomic<std::uint32_t> connect_failures_in_row{0};
  std::atomic<std::uint32_t> failures_in_row{0};

  // Requests under way, for balancers that compare endpoints; nobody else keeps it, as workers
  // would fight for its cache line.
  struct alignas(64) Load {
    std::atomic<std::uint32_t> requests{0};
  } load;

  // Written by UpstreamState under its lock.
  Nanoseconds last_ejection = 0;
  std::int64_t ejections_lately = 0;

  const std::shared_ptr<metrics::Gauge> active;  // requests under way
  const std::shared_ptr<metrics::Counter> failures;
  const std::shared_ptr<metrics::Counter> ejections;

 private:
  void show();

  const std::string address_;
  const std::shared_ptr<metrics::Gauge> healthy_;
  std::atomic<std::uint8_t> faults_{0};
};

struct EndpointEntry {
  std::shared_ptr<EndpointState> state;
  std::string host;  // "name:port" or "address:port", as configured
  http::ClientTarget target;
  http::ClientTarget http2_target;  // for requests that ask for HTTP/2
  std::uint32_t weight = 1;
};

struct EndpointSet {
  std::vector<EndpointEntry> entries;
  std::vector<std::uint16_t> table;  // of consistent hashing (upstream_maglev.h); else empty
};

// How an address of an endpoint is reached. `tls`: spoken with it; null: plain. `host` is what the
// configuration calls it, "name:port".
http::ClientTarget make_target(const config::Upstream& upstream,
                               std::shared_ptr<const net::TlsClientContext> tls,
                               const std::string& address, const std::string& host);

}  // namespace heddle::gateway
