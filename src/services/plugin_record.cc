#include "services/plugin_record.h"

#include <utility>

namespace heddle::services {

PluginRecord::PluginRecord(Log& log, metrics::Registry& registry, Options options,
                           std::span<const std::string_view> callbacks)
    : log_(log), registry_(registry), options_(std::move(options)) {
  const metrics::Labels labels{{"plugin", options_.plugin}};
  for (const std::string_view callback : callbacks) {
    calls_.push_back(
        registry.counter("heddle_plugin_calls_total", "Calls of a plugin's callbacks.",
                         {{"plugin", options_.plugin}, {"callback", std::string(callback)}}));
  }
  duration_ = registry.histogram("heddle_plugin_call_duration_seconds",
                                 "Wall time of a plugin's callbacks.", labels,
                                 metrics::guest_call_bounds(), 1e-9);
  cpu_ = registry.counter("heddle_plugin_cpu_microseconds_total",
                          "CPU time that a plugin's callbacks took.", labels);
  instances_ = registry.gauge("heddle_plugin_instances", "Instances of a plugin.", labels);
  memory_ = registry.gauge("heddle_plugin_memory_bytes", "Linear memory of a plugin's instances.",
                           labels);
  const auto durations = duration_->snapshot();
  calls_before_ = durations.count;
  wall_before_ = durations.sum;
  cpu_before_ = cpu_->value();
}

PluginRecord::~PluginRecord() {
  report_drops();
}

void PluginRecord::cpu(std::uint64_t nanoseconds) {
  const std::uint64_t sum = cpu_rest_.fetch_add(nanoseconds) + nanoseconds;
  if (sum < 1'000) return;
  cpu_rest_.fetch_sub(sum / 1'000 * 1'000);
  cpu_->add(sum / 1'000);
}

void PluginRecord::error(std::string_view reason, std::string message) {
  ++errors_;
  registry_
      .counter("heddle_plugin_errors_total", "Failures of a plugin, by reason.",
               {{"plugin", options_.plugin}, {"reason", std::string(reason)}})
      ->add();
  const std::lock_guard lock(mutex_);
  last_error_ = std::move(message);
}

void PluginRecord::limit_hit(std::string_view limit) {
  ++limit_hits_;
  registry_
      .counter("heddle_plugin_limit_hits_total", "How often a plugin met a limit.",
               {{"plugin", options_.plugin}, {"limit", std::string(limit)}})
      ->add();
}

// Seconds are those of the clock's, not sliding: a burst over the edge of two may have twice the
// lines.
bool PluginRecord::admit() {
  const std::int64_t now = monotonic_now() / 1'000'000'000;
  std::int64_t second = second_.load(std::memory_order_relaxed);
  if (second != now && second_.compare_exchange_strong(second, now)) {
    lines_ = 0;
    report_drops();
  }
  if (lines_.fetch_add(1, std::memory_order_relaxed) < options_.log_lines_per_second) return true;
  ++dropped_;
  limit_hit("log_lines_per_second");
  return false;
}

void PluginRecord::report_drops() {
  const std::uint64_t dropped = dropped_.exchange(0);
  if (dropped == 0) return;
  log_.write(LogLevel::kWarn, "log lines of a plugin were dropped (log_lines_per_second)",
             {{"plugin", options_.plugin}, {"version", options_.version}, {"dropped", dropped}});
}

void PluginRecord::guest_line(LogLevel level, std::string_view text) {
  if (!log_.enabled(level) || !admit()) return;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.size() > options_.log_line_bytes) {
    limit_hit("log_line_bytes");
    text = text.substr(0, options_.log_line_bytes);
  }
  write(level, text);
}

void PluginRecord::write(LogLevel level, std::string_view message) {
  log_.write(level, message, {{"plugin", options_.plugin}, {"version", options_.version}});
}

void PluginRecord::write(LogLevel level, std::string_view message, std::string_view key,
                         std::string_view value) {
  log_.write(level, message,
             {{"plugin", options_.plugin}, {"version", options_.version}, {key, value}});
}

PluginRecord::Totals PluginRecord::totals() const {
  Totals out;
  const auto durations = duration_->snapshot();
  out.calls = durations.count - calls_before_;
  if (out.calls > 0) {
    out.average_call_us =
        static_cast<double>(durations.sum - wall_before_) / 1'000 / static_cast<double>(out.calls);
  }
  out.cpu_seconds = static_cast<double>(cpu_->value() - cpu_before_) / 1e6;
  out.errors = errors_;
  out.limit_hits = limit_hits_;
  const std::lock_guard lock(mutex_);
  out.last_error = last_error_;
  return out;
}

}  // namespace heddle::services
