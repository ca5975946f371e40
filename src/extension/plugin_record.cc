#include "extension/plugin_record.h"

#include <algorithm>
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
    calls_.push_back(
        callback.empty()
            ? unnamed_
            : registry.counter("heddle_plugin_calls_total", "Calls of a plugin's callbacks.",
                               {{"plugin", plugin_}, {"callback", std::string(callback)}}));
  }
  duration_ = registry.histogram("heddle_plugin_call_duration_seconds",
                                 "Wall time of a plugin's callbacks.", labels,
                                 metrics::guest_call_bounds(), 1e-9);
  cpu_ = registry.counter("heddle_plugin_cpu_microseconds_total",
                          "CPU time that a plugin's callbacks took.", labels);
  instances_ = registry.gauge("heddle_plugin_instances", "Instances of a plugin.", labels);
  if (kind.measures_memory) {
    memory_ = registry.gauge("heddle_plugin_memory_bytes", "Linear memory of a plugin's instances.",
                             labels);
  }
  if (kind.sees_exchanges) {
    exchanges_ =
        registry.counter("heddle_plugin_exchanges_total", "Exchanges that a plugin saw.", labels);
  }
  before_ = totals();
}

PluginRecord::~PluginRecord() {
  report_drops();
}

void PluginRecord::cpu(std::uint64_t nanoseconds) {
  const std::uint64_t before = cpu_nanoseconds_.add(nanoseconds);
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

void PluginRecord::limit_hit(std::string_view limit, std::uint64_t times) {
  limit_hits_ += times;
  const std::lock_guard lock(mutex_);
  auto found = std::ranges::find(limits_, limit, [](const auto& known) { return known.first; });
  if (found == limits_.end()) {
    limits_.emplace_back(
        limit,
        registry_.counter("heddle_plugin_limit_hits_total", "How often a plugin met a limit.",
                          {{"plugin", plugin_}, {"limit", std::string(limit)}}));
    found = limits_.end() - 1;
  }
  found->second->add(times);
}

// Seconds are those of the clock's, not sliding: a burst over the edge of two may have twice the
// lines.
bool PluginRecord::admit(Window& window, std::uint64_t most) {
  const std::int64_t now = monotonic_now() / 1'000'000'000;
  std::int64_t second = window.second.load(std::memory_order_relaxed);
  if (second != now && window.second.compare_exchange_strong(second, now)) {
    window.lines = 0;
    report_drops();
  }
  if (window.lines.fetch_add(1, std::memory_order_relaxed) < most) return true;
  drop_lines(1);
  return false;
}

void PluginRecord::drop_lines(std::uint64_t lines) {
  if (lines == 0) return;
  dropped_ += lines;
  limit_hit("log_lines_per_second", lines);
}

void PluginRecord::report_drops() {
  const std::uint64_t dropped = dropped_.exchange(0);
  if (dropped == 0) return;
  write(LogLevel::kWarn, "log lines of a plugin were dropped (log_lines_per_second)",
        LogField("dropped", dropped), LogField("log_lines_per_second", lines_per_second_));
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

PluginRecord::Totals PluginRecord::totals() const {
  Totals out;
  out.calls = unnamed_->value();
  for (const auto& counter : calls_) {
    if (counter != unnamed_) out.calls += counter->value();
  }
  const auto durations = duration_->snapshot();
  out.timed = durations.count;
  out.wall_nanoseconds = durations.sum;
  out.cpu_microseconds = cpu_->value();
  if (exchanges_ != nullptr) out.exchanges = exchanges_->value();
  return out;
}

PluginStats PluginRecord::stats() const {
  const Totals now = totals();
  PluginStats out;
  out.calls = now.calls - before_.calls;
  if (now.timed > before_.timed) {
    out.average_call_us = static_cast<double>(now.wall_nanoseconds - before_.wall_nanoseconds) /
                          1'000 / static_cast<double>(now.timed - before_.timed);
  }
  out.exchanges = now.exchanges - before_.exchanges;
  out.cpu_seconds = static_cast<double>(now.cpu_microseconds - before_.cpu_microseconds) / 1e6;
  out.instances = static_cast<std::uint64_t>(own_instances_.load());
  out.memory_bytes = static_cast<std::uint64_t>(own_memory_.load());
  out.errors = errors_;
  out.limit_hits = limit_hits_;
  const std::lock_guard lock(mutex_);
  out.last_error = last_error_;
  return out;
}

}  // namespace heddle::extension
