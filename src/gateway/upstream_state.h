// An upstream as all workers and all snapshots that name it share it: its endpoints, what is known
// of their health, its circuit breaker, its line of waiting requests, its metrics. Outlives
// reloads.
//
// Any thread. Workers look at generation() for each request and take the rest only when it changed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/metrics.h"
#include "config/config.h"
#include "gateway/upstream_circuit.h"
#include "gateway/upstream_endpoint.h"
#include "gateway/upstream_limiter.h"

namespace heddle::gateway {

struct UpstreamCounters {
  UpstreamCounters(const std::string& upstream, metrics::Registry& metrics);
  std::shared_ptr<metrics::Gauge> active;   // requests, as the exchanges count them
  std::shared_ptr<metrics::Gauge> pending;  // requests in the line
  std::shared_ptr<metrics::Gauge> circuit_open;
  std::shared_ptr<metrics::Counter> retries;
  std::shared_ptr<metrics::Counter> failovers;
  std::shared_ptr<metrics::Counter> retries_refused;
  std::shared_ptr<metrics::Counter> overflows;
  std::shared_ptr<metrics::Counter> circuit_refused;
  std::shared_ptr<metrics::Counter> unavailable;
  std::shared_ptr<metrics::Counter> panics;
};

class UpstreamState : public std::enable_shared_from_this<UpstreamState> {
 public:
  // `endpoint` of `upstream` is to be readmitted after `time`; called on any thread.
  using Readmit =
      std::function<void(std::shared_ptr<UpstreamState> upstream,
                         std::shared_ptr<EndpointState> endpoint, std::chrono::nanoseconds time)>;

  UpstreamState(std::string name, Log& log, metrics::Registry& metrics, Readmit readmit);
  UpstreamState(const UpstreamState&) = delete;
  UpstreamState& operator=(const UpstreamState&) = delete;

  const std::string& name() const { return name_; }

  // Grows whenever the endpoints or the usability of one changed.
  std::uint32_t generation() const { return generation_.load(std::memory_order_acquire); }
  std::shared_ptr<const EndpointSet> endpoints() const;
  void publish(std::shared_ptr<const EndpointSet> endpoints);

  // What became of a request to an endpoint.
  enum class Outcome : std::uint8_t { kAnswered, kFailed, kNoConnection };
  void report(const std::shared_ptr<EndpointState>& endpoint, Outcome outcome,
              const config::Ejection& options);

  // Results of active checks; each change writes one line to the log. Who becomes healthy is
  // readmitted too.
  void set_healthy(EndpointState& endpoint);
  void set_unhealthy(EndpointState& endpoint, std::string_view reason);
  // An endpoint that nobody checks any more.
  void forget_health(EndpointState& endpoint);
  void readmit(EndpointState& endpoint);

  Circuit& circuit() { return circuit_; }
  void note_circuit(Circuit::State state);
  RequestLimiter& limiter() { return *limiter_; }
  UpstreamCounters& counters() { return counters_; }

  // Whether one more retry may be under way; then retry_ended() must follow.
  bool begin_retry(const config::Upstream& options);
  void retry_ended() { retries_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  void eject(const std::shared_ptr<EndpointState>& endpoint, const config::Ejection& options,
             std::string_view reason);
  void changed() { generation_.fetch_add(1, std::memory_order_release); }

  const std::string name_;
  Log& log_;
  const Readmit readmit_;
  UpstreamCounters counters_;
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<std::uint32_t> retries_{0};
  Circuit circuit_;
  const std::shared_ptr<RequestLimiter> limiter_ = std::make_shared<RequestLimiter>();
  mutable std::mutex mutex_;
  std::shared_ptr<const EndpointSet> endpoints_;  // guarded by mutex_
};

}  // namespace heddle::gateway
