#include "contracts/json_rpc/call_stats.h"

#include <utility>

namespace heddle::json_rpc {

CallStats::CallStats(metrics::Registry& registry, std::string_view plugin)
    : registry_(registry), plugin_(plugin) {
  const metrics::Labels labels{{"plugin", plugin_}};
  calls_ = registry.counter("heddle_plugin_calls_total", "Calls of a plugin's callbacks.",
                            {{"plugin", plugin_}, {"callback", "call"}});
  host_calls_ = registry.counter("heddle_plugin_host_requests_total",
                                 "Requests of a JSON-RPC plugin to its host.", labels);
  duration_ = registry.histogram("heddle_plugin_call_duration_seconds",
                                 "Wall time of a plugin's callbacks.", labels,
                                 metrics::guest_call_bounds(), 1e-9);
  cpu_ = registry.counter("heddle_plugin_cpu_microseconds_total",
                          "CPU time that a plugin's callbacks took.", labels);
  instances_ = registry.gauge("heddle_plugin_instances", "Instances of a plugin.", labels);
  queued_ = registry.gauge("heddle_plugin_queued_calls",
                           "Calls that wait for an instance of a plugin.", labels);
}

void CallStats::call(std::chrono::nanoseconds wall, std::chrono::nanoseconds cpu) {
  calls_->add();
  duration_->observe(static_cast<std::uint64_t>(wall.count()));
  cpu_->add(static_cast<std::uint64_t>(cpu.count() / 1'000));
  ++own_calls_;
  own_wall_ += static_cast<std::uint64_t>(wall.count());
  own_cpu_ += static_cast<std::uint64_t>(cpu.count());
}

void CallStats::instances(std::int64_t delta) {
  instances_->add(delta);
  own_instances_ += delta;
}

void CallStats::error(std::string_view cause, std::string message) {
  ++errors_;
  registry_
      .counter("heddle_plugin_errors_total", "Failures of a plugin, by reason.",
               {{"plugin", plugin_}, {"reason", std::string(cause)}})
      ->add();
  const std::lock_guard lock(mutex_);
  last_error_ = std::move(message);
}

void CallStats::limit_hit(std::string_view limit) {
  ++limit_hits_;
  registry_
      .counter("heddle_plugin_limit_hits_total", "How often a plugin met a limit.",
               {{"plugin", plugin_}, {"limit", std::string(limit)}})
      ->add();
}

extension::PluginStats CallStats::snapshot() const {
  extension::PluginStats out;
  out.calls = own_calls_;
  out.errors = errors_;
  out.exchanges = own_calls_;
  out.cpu_seconds = static_cast<double>(own_cpu_) / 1e9;
  if (out.calls > 0)
    out.average_call_us = static_cast<double>(own_wall_) / 1e3 / static_cast<double>(out.calls);
  out.instances = static_cast<std::uint64_t>(own_instances_.load());
  out.limit_hits = limit_hits_;
  const std::lock_guard lock(mutex_);
  out.last_error = last_error_;
  return out;
}

}  // namespace heddle::json_rpc
