#include "extension/plugin_record.h"

#include <utility>

#include "base/clock.h"

namespace heddle::extension {

PluginRecord::PluginRecord(Log& log, metrics::Registry& registry, const PluginSpec& spec,
                           std::span<const std::string_view> callbacks, Kind kind)
    : log_(log),
      registry_(registry),
      plugin_(spec.name),
      version_(spec.version),
      lines_per_second_(spec.log_lines_per_second),
      line_bytes_(spec.log_line_bytes) {
  const metrics::Labels labels{{"plugin", plugin_}};
  for (const std::string_view callback : callbacks) {
    calls_.push_back(registry.counter("heddle_plugin_calls_total", "Calls of a plugin's callbacks.",
                                      {{"plugin", plugin_}, {"callback", std::string(callback)}}));
  }
  duration_ = registry.histogram("heddle_plugin_call_duration_seconds",
                                 "Wall time of a plugin's callbacks.", labels,
                                 metrics::guest_call_bounds(), 1e-9);
  cpu_ = registry.counter("heddle_plugin_cpu_microseconds_total",
                          "CPU time that a plugin's callbacks took.", labels);
  lines_over_limit_ = limit_counter("log_lines_per_second");
  instances_ = registry.gauge("heddle_plugin_instances", "Instances of a plugin.", labels);
  if (kind.measures_memory) {
    memory_ = registry.gauge("heddle_plugin_memory_bytes", "Linear memory of a plugin's instances.",
                             labels);
  }
  if (kind.sees_exchanges) {
    exchanges_ =
        registry.counter("heddle_plugin_exchanges_total", "Exchanges that a plugin saw.", labels);
    exchanges_before_ = exchanges_->value();
  }
  const auto durations = duration_->snapshot();
  calls_before_ = durations.count;
  wall_before_ = durations.sum;
  cpu_before_ = cpu_->value();
}

PluginRecord::~PluginRecord() {
  report_drops();
}

void PluginRecord::cpu(std::uint64_t nanoseconds) {
  std::atomic<std::uint64_t>& rest = cpu_rests_.at(metrics::thread_shard()).nanoseconds;
  const std::uint64_t before = rest.fetch_add(nanoseconds, std::memory_order_relaxed);
  cpu_->add((before + nanoseconds) / 1'000 - before / 1'000);
}

void PluginRecord::instances(std::int64_t delta) {
  instances_->add(delta);
  own_instances_ += delta;
}

void PluginRecord::memory(std::int64_t delta) {
  if (delta == 0) return;
  memory_->add(delta);
  own_memory_ += delta;
}

void PluginRecord::error(std::string_view reason, std::string message) {
  ++errors_;
  registry_
      .counter("heddle_plugin_errors_total", "Failures of a plugin, by reason.",
               {{"plugin", plugin_}, {"reason", std::string(reason)}})
      ->add();
  const std::lock_guard lock(mutex_);
  last_error_ = std::move(message);
}

std::shared_ptr<metrics::Counter> PluginRecord::limit_counter(std::string_view limit) {
  return registry_.counter("heddle_plugin_limit_hits_total", "How often a plugin met a limit.",
                           {{"plugin", plugin_}, {"limit", std::string(limit)}});
}

void PluginRecord::limit_hit(std::string_view limit) {
  ++limit_hits_;
  limit_counter(limit)->add();
}

// Seconds are those of the clock's, not sliding: a burst over the edge of two may have twice the
// lines.
bool PluginRecord::admit_line() {
  const std::int64_t now = monotonic_now() / 1'000'000'000;
  std::int64_t second = second_.load(std::memory_order_relaxed);
  if (second != now && second_.compare_exchange_strong(second, now)) {
    lines_ = 0;
    report_drops();
  }
  if (lines_.fetch_add(1, std::memory_order_relaxed) < lines_per_second_) return true;
  ++dropped_;
  ++limit_hits_;
  lines_over_limit_->add();
  return false;
}

void PluginRecord::report_drops() {
  const std::uint64_t dropped = dropped_.exchange(0);
  if (dropped == 0) return;
  write(LogLevel::kWarn, "log lines of a plugin were dropped (log_lines_per_second)",
        LogField("dropped", dropped));
}

void PluginRecord::guest_line(LogLevel level, std::string_view text, std::string_view request_id) {
  if (!log_.enabled(level) || !admit_line()) return;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.size() > line_bytes_) {
    limit_hit("log_line_bytes");
    text = text.substr(0, line_bytes_);
  }
  line(level, text, request_id);
}

void PluginRecord::line(LogLevel level, std::string_view message, std::string_view request_id) {
  if (request_id.empty()) return write(level, message);
  write(level, message, LogField("request_id", request_id));
}

PluginStats PluginRecord::stats() const {
  PluginStats out;
  const auto durations = duration_->snapshot();
  out.calls = durations.count - calls_before_;
  if (out.calls > 0) {
    out.average_call_us =
        static_cast<double>(durations.sum - wall_before_) / 1'000 / static_cast<double>(out.calls);
  }
  if (exchanges_ != nullptr) out.exchanges = exchanges_->value() - exchanges_before_;
  out.cpu_seconds = static_cast<double>(cpu_->value() - cpu_before_) / 1e6;
  out.instances = static_cast<std::uint64_t>(own_instances_.load());
  out.memory_bytes = static_cast<std::uint64_t>(own_memory_.load());
  out.errors = errors_;
  out.limit_hits = limit_hits_;
  const std::lock_guard lock(mutex_);
  out.last_error = last_error_;
  return out;
}

}  // namespace heddle::extension
