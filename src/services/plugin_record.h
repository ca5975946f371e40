// The metrics and log lines of one plugin version, for contracts that have no request to speak of:
// its calls by callback, errors, limits that it met, and what it writes. Handles are fetched once;
// any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

namespace heddle::services {

class PluginRecord {
 public:
  struct Options {
    std::string plugin;
    std::uint32_t version = 1;
    std::size_t log_lines_per_second = 1'000;
    std::size_t log_line_bytes = 4'096;
  };
  struct Totals {  // of this version
    std::uint64_t calls = 0;
    std::uint64_t errors = 0;
    std::uint64_t limit_hits = 0;
    double cpu_seconds = 0;
    double average_call_us = 0;
    std::string last_error;
  };

  PluginRecord(Log& log, metrics::Registry& registry, Options options,
               std::span<const std::string_view> callbacks);
  ~PluginRecord();
  PluginRecord(const PluginRecord&) = delete;
  PluginRecord& operator=(const PluginRecord&) = delete;

  // One call of the callback with this index.
  void call(std::size_t callback, std::int64_t wall_nanoseconds) {
    calls_[callback]->add();
    duration_->observe(static_cast<std::uint64_t>(wall_nanoseconds));
  }
  void cpu(std::uint64_t nanoseconds);
  void instances(std::int64_t delta) { instances_->add(delta); }
  void memory(std::int64_t delta) { memory_->add(delta); }
  void error(std::string_view reason, std::string message);
  void limit_hit(std::string_view limit);

  // A line of the plugin: at most log_lines_per_second are written, the rest is counted; longer
  // ones are cut; bytes that are not UTF-8 become U+FFFD.
  void guest_line(LogLevel level, std::string_view text);
  // A line of Heddle about the plugin, and the same with one more field.
  void write(LogLevel level, std::string_view message);
  void write(LogLevel level, std::string_view message, std::string_view key,
             std::string_view value);

  Totals totals() const;
  metrics::Registry& registry() { return registry_; }

 private:
  bool admit();
  void report_drops();

  Log& log_;
  metrics::Registry& registry_;
  Options options_;
  std::vector<std::shared_ptr<metrics::Counter>> calls_;
  std::shared_ptr<metrics::Histogram> duration_;
  std::shared_ptr<metrics::Counter> cpu_;
  std::shared_ptr<metrics::Gauge> instances_;
  std::shared_ptr<metrics::Gauge> memory_;
  std::uint64_t calls_before_ = 0;  // of former versions, which count in the same metrics
  std::uint64_t wall_before_ = 0;
  std::uint64_t cpu_before_ = 0;
  std::atomic<std::uint64_t> cpu_rest_{0};  // nanoseconds below a microsecond
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint64_t> limit_hits_{0};
  std::atomic<std::int64_t> second_{0};
  std::atomic<std::uint64_t> lines_{0};    // in this second
  std::atomic<std::uint64_t> dropped_{0};  // not yet reported
  mutable std::mutex mutex_;
  std::string last_error_;
};

}  // namespace heddle::services
