// The built-in metrics (heddle_plugin_*) and the log lines of one plugin version, for contracts:
// its calls by callback, errors, limits that it met, and what it writes. Handles are fetched once;
// any thread.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "extension/plugin_contract.h"

namespace heddle::extension {

class PluginRecord {
 public:
  // Of a call that is none of the named callbacks: it counts, but has no metric of its own.
  static constexpr std::size_t kUnnamed = static_cast<std::size_t>(-1);

  // Metrics that not every kind of plugin has; those that it lacks may not be counted.
  struct Kind {
    bool sees_exchanges = false;
    bool measures_memory = true;
  };

  // `callbacks` gives their names by index; one that is empty is not called and has no metric.
  PluginRecord(Log& log, metrics::Registry& registry, const PluginSpec& spec,
               std::span<const std::string_view> callbacks, Kind kind);
  PluginRecord(Log& log, metrics::Registry& registry, const PluginSpec& spec,
               std::span<const std::string_view> callbacks)
      : PluginRecord(log, registry, spec, callbacks, Kind{}) {}
  ~PluginRecord();
  PluginRecord(const PluginRecord&) = delete;
  PluginRecord& operator=(const PluginRecord&) = delete;

  // One call of the callback with this index; its duration counts for `stands_for` calls, of which
  // the others were counted without one.
  void call(std::size_t callback, std::int64_t wall_nanoseconds, std::uint64_t stands_for = 1) {
    count(callback);
    duration(wall_nanoseconds, stands_for);
  }
  void count(std::size_t callback) {
    (callback < calls_.size() ? calls_[callback] : unnamed_)->add();
  }
  void duration(std::int64_t wall_nanoseconds, std::uint64_t stands_for = 1) {
    duration_->observe(static_cast<std::uint64_t>(wall_nanoseconds), stands_for);
  }
  void cpu(std::uint64_t nanoseconds);
  void exchange() { exchanges_->add(); }
  void instances(std::int64_t delta);
  void memory(std::int64_t delta);
  void error(std::string_view reason, std::string message);
  // `limit` is a literal: the limit's setting, or its name where it has none.
  void limit_hit(std::string_view limit, std::uint64_t times = 1);

  // A line of the plugin: at most log_lines_per_second are written, the rest is counted; longer
  // ones are cut; bytes that are not UTF-8 become U+FFFD.
  void guest_line(LogLevel level, std::string_view text, std::string_view request_id = {});
  // Whether another line of the plugin is within log_lines_per_second. For lines that go elsewhere
  // than to the log, too.
  bool admit_line() { return admit(lines_, lines_per_second_); }
  // Further lines that were not asked for.
  void drop_lines(std::uint64_t lines);
  // The same for warnings about the plugin of which it can cause as many as it likes.
  bool admit_warning() { return admit(warnings_, kWarningsPerSecond); }
  // A line of Heddle about the plugin and, unless it is empty, this request.
  void line(LogLevel level, std::string_view message, std::string_view request_id);
  // The same with other fields.
  template <std::same_as<LogField>... Fields>
  void write(LogLevel level, std::string_view message, const Fields&... fields) {
    log_.write(level, message, {{"plugin", plugin_}, {"version", version_}, fields...});
  }

  // Of this version.
  PluginStats stats() const;
  metrics::Registry& registry() { return registry_; }

 private:
  static constexpr std::uint64_t kWarningsPerSecond = 200;
  struct Window {
    std::atomic<std::int64_t> second{0};
    std::atomic<std::uint64_t> lines{0};  // in this second
  };
  // What the metrics of all versions say.
  struct Totals {
    std::uint64_t calls = 0;
    std::uint64_t timed = 0;             // calls that durations stand for
    std::uint64_t wall_nanoseconds = 0;  // of these
    std::uint64_t cpu_microseconds = 0;
    std::uint64_t exchanges = 0;
  };
  Totals totals() const;
  bool admit(Window& window, std::uint64_t most);
  void report_drops();

  Log& log_;
  metrics::Registry& registry_;
  std::string plugin_;
  std::uint32_t version_;
  std::size_t lines_per_second_;
  std::size_t line_bytes_;
  std::shared_ptr<metrics::Counter> unnamed_ = std::make_shared<metrics::Counter>();
  std::vector<std::shared_ptr<metrics::Counter>> calls_;
  std::shared_ptr<metrics::Histogram> duration_;
  std::shared_ptr<metrics::Counter> cpu_;
  std::shared_ptr<metrics::Counter> exchanges_;  // null: it sees none
  std::shared_ptr<metrics::Gauge> instances_;
  std::shared_ptr<metrics::Gauge> memory_;  // null: not measured
  Totals before_;                           // of former versions, which count in the same metrics
  metrics::Counter cpu_nanoseconds_;        // of this version; the metric has whole microseconds
  std::atomic<std::int64_t> own_instances_{0};
  std::atomic<std::int64_t> own_memory_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint64_t> limit_hits_{0};
  Window lines_;
  Window warnings_;
  std::atomic<std::uint64_t> dropped_{0};  // not yet reported
  mutable std::mutex mutex_;               // guards what follows
  std::string last_error_;
  // Those that were met; few, and at hand for a plugin that meets one with every call.
  std::vector<std::pair<std::string_view, std::shared_ptr<metrics::Counter>>> limits_;
};

}  // namespace heddle::extension
