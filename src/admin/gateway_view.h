// What the admin API reads of the gateway. Implemented where the two are wired together (src/cli),
// as neither folder includes the other. Every call may come from the admin worker at any time: it
// must not block, and copies what it gives.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace heddle::admin {

struct RouteView {
  std::string id;
  std::string host;
  std::string path;
  std::vector<std::string> methods;  // empty: every method
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::pair<std::string, std::string>> query_params;
  std::string upstream;
  std::vector<std::string> plugins;  // those that run on it, in order
  std::string strip_prefix;
  std::chrono::milliseconds timeout{0};
  int priority = 0;
  std::string unavailable;  // why it answers 503 (a plugin that cannot be loaded); empty: it serves
};

struct EndpointView {
  std::string address;
  std::string host;  // as configured: a name that `address` is one of, or `address` itself
  std::uint32_t weight = 1;
  bool healthy = true;
  std::string state = "healthy";         // healthy, unhealthy (by checks), ejected (by requests)
  std::uint64_t active_connections = 0;  // requests under way
  std::uint64_t failures = 0;            // requests answered with 5xx or not at all
  std::uint64_t ejections = 0;
};

struct UpstreamView {
  std::string name;
  std::string builtin;  // as in the configuration; or empty
  std::string load_balancer;
  std::vector<EndpointView> endpoints;
  std::string circuit_state = "closed";   // closed, open, half_open
  std::string health_status = "healthy";  // healthy, degraded (some endpoints), unhealthy (all)
  std::uint64_t active_requests = 0;
  std::uint64_t pending_requests = 0;  // waiting for circuit_breaker.max_requests
  std::uint64_t retries = 0;
};

enum class Phase : std::uint8_t { kStarting, kServing, kDraining };

struct GatewayCounts {
  std::size_t workers = 0;
  std::uint64_t connections = 0;       // downstream, open now
  std::uint64_t exchanges = 0;         // in flight now
  std::uint64_t snapshots = 0;         // configurations still alive, the current one included
  std::uint64_t snapshot_version = 0;  // of the current one; grows with every change
};

// Of the configuration: which is in force since when, and what came of reading it again.
struct ReloadView {
  Nanoseconds loaded_at = 0;     // the one in force; realtime
  Nanoseconds attempted_at = 0;  // the last reload; 0: none yet
  bool succeeded = true;         // the last reload; true when there was none
  std::string error;             // why it changed nothing; one line
  std::uint64_t reloads = 0;
  std::uint64_t failures = 0;
};

class GatewayView {
 public:
  virtual ~GatewayView() = default;
  virtual std::vector<RouteView> routes() const = 0;
  virtual std::vector<UpstreamView> upstreams() const = 0;
  virtual Phase phase() const = 0;
  virtual GatewayCounts counts() const = 0;
  virtual ReloadView reload() const = 0;
};

}  // namespace heddle::admin
