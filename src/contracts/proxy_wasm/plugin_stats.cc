#include "contracts/proxy_wasm/plugin_stats.h"

#include <chrono>
#include <optional>
#include <utility>

namespace heddle::proxy_wasm {
namespace {

constexpr std::array<std::string_view, kLimitCount> kLimitNames = {
    "timeout",        "memory_limit",   "table_elements", "host_calls",   "log_lines_per_second",
    "log_line_bytes", "outbound_calls", "shared_data",    "shared_queue", "header_bytes",
    "body_bytes",     "properties",     "metrics",        "instances"};

std::optional<Limit> counted_limit(sandbox::TrapReason reason) {
  switch (reason) {
    case sandbox::TrapReason::kTimeout:
      return Limit::kTimeout;
    case sandbox::TrapReason::kTableLimit:
      return Limit::kTableElements;
    case sandbox::TrapReason::kHostCallLimit:
      return Limit::kHostCalls;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string_view to_string(Limit limit) {
  return kLimitNames.at(static_cast<std::size_t>(limit));
}

PluginStats::PluginStats(metrics::Registry& registry, std::string_view plugin,
                         const CallbackSet& callbacks)
    : registry_(registry), plugin_(plugin) {
  const metrics::Labels labels{{"plugin", plugin_}};
  const auto unused = std::make_shared<metrics::Counter>();
  for (std::size_t i = 0; i < kCallbackCount; ++i) {
    const auto callback = static_cast<Callback>(i);
    const bool called = callbacks[i] || callback == Callback::kStart;
    calls_.at(i) = called
                       ? registry.counter(
                             "heddle_plugin_calls_total", "Calls of a plugin's callbacks.",
                             {{"plugin", plugin_}, {"callback", std::string(short_name(callback))}})
                       : unused;
  }
  duration_ = registry.histogram("heddle_plugin_call_duration_seconds",
                                 "Wall time of a plugin's callbacks.", labels,
                                 metrics::guest_call_bounds(), 1e-9);
  cpu_ = registry.counter("heddle_plugin_cpu_microseconds_total",
                          "CPU time that a plugin's callbacks took.", labels);
  exchanges_ =
      registry.counter("heddle_plugin_exchanges_total", "Exchanges that a plugin saw.", labels);
  instances_ = registry.gauge("heddle_plugin_instances", "Instances of a plugin.", labels);
  memory_ = registry.gauge("heddle_plugin_memory_bytes", "Linear memory of a plugin's instances.",
                           labels);
  baseline_ = totals();
}

void PluginStats::error(std::string_view reason, std::string message) {
  ++errors_;
  registry_
      .counter("heddle_plugin_errors_total", "Failures of a plugin, by reason.",
               {{"plugin", plugin_}, {"reason", std::string(reason)}})
      ->add();
  const std::lock_guard lock(mutex_);
  last_error_ = std::move(message);
}

void PluginStats::limit_hit(Limit limit) {
  ++limit_hits_;
  const std::lock_guard lock(mutex_);
  auto& counter = limits_.at(static_cast<std::size_t>(limit));
  if (counter == nullptr) {
    counter = registry_.counter("heddle_plugin_limit_hits_total", "How often a plugin met a limit.",
                                {{"plugin", plugin_}, {"limit", std::string(to_string(limit))}});
  }
  counter->add();
}

void PluginStats::trap(const sandbox::Trap& trap, std::string message) {
  error(sandbox::to_string(trap.reason), std::move(message));
  if (const auto limit = counted_limit(trap.reason)) limit_hit(*limit);
}

extension::PluginStats PluginStats::totals() const {
  extension::PluginStats out;
  const auto durations = duration_->snapshot();
  for (const auto& counter : calls_) out.calls += counter->value();
  out.average_call_us =
      static_cast<double>(durations.sum) / 1000;  // the sum, until snapshot() divides it
  out.cpu_seconds = static_cast<double>(cpu_->value()) / 1e6;
  out.exchanges = exchanges_->value();
  return out;
}

extension::PluginStats PluginStats::snapshot() const {
  extension::PluginStats out = totals();
  out.calls -= baseline_.calls;
  out.exchanges -= baseline_.exchanges;
  out.cpu_seconds -= baseline_.cpu_seconds;
  out.average_call_us -= baseline_.average_call_us;
  if (out.calls > 0) out.average_call_us /= static_cast<double>(out.calls);
  out.errors = errors_;
  out.limit_hits = limit_hits_;
  out.instances = static_cast<std::uint64_t>(own_instances_.load());
  out.memory_bytes = static_cast<std::uint64_t>(own_memory_.load());
  const std::lock_guard lock(mutex_);
  out.last_error = last_error_;
  return out;
}

}  // namespace heddle::proxy_wasm
