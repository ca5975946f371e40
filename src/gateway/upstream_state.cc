#include "gateway/upstream_state.h"

#include <algorithm>
#include <utility>

namespace heddle::gateway {

UpstreamCounters::UpstreamCounters(const std::string& upstream, metrics::Registry& metrics) {
  const metrics::Labels labels = {{"upstream", upstream}};
  active =
      metrics.gauge("heddle_upstream_requests_active", "Requests an upstream is serving", labels);
  pending = metrics.gauge("heddle_upstream_requests_pending",
                          "Requests that wait for circuit_breaker.max_requests", labels);
  circuit_open = metrics.gauge("heddle_upstream_circuit_open",
                               "1 while the circuit breaker refuses requests", labels);
  retries = metrics.counter("heddle_upstream_retries_total", "Requests sent again", labels);
  failovers =
      metrics.counter("heddle_upstream_failovers_total",
                      "Requests sent to another endpoint since one could not be reached", labels);
  retries_refused =
      metrics.counter("heddle_upstream_retries_refused_total",
                      "Retries not made: over the budget or circuit_breaker.max_retries", labels);
  const auto refused = [&](std::string_view reason) {
    return metrics.counter("heddle_upstream_refused_total",
                           "Requests answered with 503 before any endpoint was asked",
                           {{"upstream", upstream}, {"reason", std::string(reason)}});
  };
  overflows = refused("max_requests");
  circuit_refused = refused("circuit_open");
  unavailable = refused("no_usable_endpoint");
  panics =
      metrics.counter("heddle_upstream_panic_requests_total",
                      "Requests that could go to any endpoint, as too few were usable", labels);
}

UpstreamState::UpstreamState(std::string name, Log& log, metrics::Registry& metrics,
                             Readmit readmit)
    : name_(std::move(name)),
      log_(log),
      readmit_(std::move(readmit)),
      counters_(name_, metrics),
      endpoints_(std::make_shared<const EndpointSet>()) {}

std::shared_ptr<const EndpointSet> UpstreamState::endpoints() const {
  const std::lock_guard lock(mutex_);
  return endpoints_;
}

void UpstreamState::publish(std::shared_ptr<const EndpointSet> endpoints) {
  {
    const std::lock_guard lock(mutex_);
    endpoints_ = std::move(endpoints);
  }
  changed();
}

void UpstreamState::report(const std::shared_ptr<EndpointState>& endpoint, Outcome outcome,
                           const config::Ejection& options) {
  const auto forget = [](std::atomic<std::uint32_t>& count) {
    if (count.load(std::memory_order_relaxed) != 0) count.store(0, std::memory_order_relaxed);
  };
  if (outcome == Outcome::kAnswered) {
    forget(endpoint->connect_failures_in_row);
    forget(endpoint->failures_in_row);
    return;
  }
  endpoint->failures->add();
  const std::uint32_t failures = endpoint->failures_in_row.fetch_add(1) + 1;
  if (outcome == Outcome::kNoConnection) {
    const std::uint32_t connects = endpoint->connect_failures_in_row.fetch_add(1) + 1;
    if (options.consecutive_connect_failures > 0 &&
        connects >= options.consecutive_connect_failures) {
      eject(endpoint, options, "no connection could be made, consecutive_connect_failures times");
      return;
    }
  } else {
    forget(endpoint->connect_failures_in_row);
  }
  if (options.consecutive_failures > 0 && failures >= options.consecutive_failures) {
    eject(endpoint, options, "requests failed, consecutive_failures times");
  }
}

void UpstreamState::eject(const std::shared_ptr<EndpointState>& endpoint,
                          const config::Ejection& options, std::string_view reason) {
  std::chrono::nanoseconds time{};
  {
    const std::lock_guard lock(mutex_);
    const auto& entries = endpoints_->entries;
    const auto ejected =
        static_cast<std::size_t>(std::ranges::count_if(entries, [](const EndpointEntry& entry) {
          return entry.state->has(EndpointState::kEjected);
        }));
    if ((ejected + 1) * 100 > entries.size() * options.max_percent) return;
    if (!endpoint->add(EndpointState::kEjected)) return;
    // Each ejection that follows soon on another lasts longer.
    const Nanoseconds now = monotonic_now();
    if (now - endpoint->last_ejection > to_nanoseconds(options.max_time)) {
      endpoint->ejections_lately = 0;
    }
    endpoint->last_ejection = now;
    time = std::min<std::chrono::nanoseconds>(options.time * ++endpoint->ejections_lately,
                                              options.max_time);
  }
  endpoint->ejections->add();
  changed();
  log_.warn("endpoint ejected", {{"upstream", name_},
                                 {"endpoint", endpoint->address()},
                                 {"reason", reason},
                                 {"seconds", std::chrono::duration<double>(time).count()}});
  readmit_(shared_from_this(), endpoint, time);
}

void UpstreamState::readmit(EndpointState& endpoint) {
  endpoint.connect_failures_in_row = 0;
  endpoint.failures_in_row = 0;
  if (!endpoint.remove(EndpointState::kEjected)) return;
  changed();
  log_.info("endpoint readmitted", {{"upstream", name_}, {"endpoint", endpoint.address()}});
}

void UpstreamState::set_healthy(EndpointState& endpoint) {
  if (!endpoint.remove(EndpointState::kUnhealthy)) return;
  changed();
  log_.info("endpoint healthy", {{"upstream", name_}, {"endpoint", endpoint.address()}});
  readmit(endpoint);
}

void UpstreamState::set_unhealthy(EndpointState& endpoint, std::string_view reason) {
  if (!endpoint.add(EndpointState::kUnhealthy)) return;
  changed();
  log_.warn("endpoint unhealthy",
            {{"upstream", name_}, {"endpoint", endpoint.address()}, {"reason", reason}});
}

void UpstreamState::forget_health(EndpointState& endpoint) {
  if (endpoint.remove(EndpointState::kUnhealthy)) changed();
}

void UpstreamState::note_circuit(Circuit::State state) {
  const bool open = state == Circuit::State::kOpen;
  counters_.circuit_open->set(open ? 1 : 0);
  if (open) {
    log_.warn("circuit open: requests are refused", {{"upstream", name_}});
  } else {
    log_.info("circuit closed", {{"upstream", name_}});
  }
}

bool UpstreamState::begin_retry(const config::Upstream& options) {
  const auto active =
      static_cast<std::uint64_t>(std::max<std::int64_t>(counters_.active->value(), 0));
  std::uint64_t most = std::max<std::uint64_t>(options.retry.budget_min,
                                               active * options.retry.budget_percent / 100);
  if (options.circuit_breaker.max_retries > 0) {
    most = std::min<std::uint64_t>(most, options.circuit_breaker.max_retries);
  }
  if (retries_.fetch_add(1, std::memory_order_relaxed) < most) return true;
  retry_ended();
  counters_.retries_refused->add();
  return false;
}

}  // namespace heddle::gateway
