// Counters, gauges and histograms that any worker may change without a lock or a shared cache line.
//
// Each metric holds one cell per worker thread (metric_cells.h); a reader sums them. Handles are
// shared_ptr: a metric lives as long as its registry entry or a handle. The registry is read by
// telemetry (Prometheus text); folders below telemetry only see this header.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metric_cells.h"

namespace heddle::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

// A number that only grows. Any thread.
class Counter {
 public:
  // Returns what the calling thread's slot had counted before.
  std::uint64_t add(std::uint64_t delta = 1) { return cell_.add(0, delta); }
  std::uint64_t value() const { return cell_.sum(0); }

 private:
  internal::Cells cell_{1};
};

// A number that goes up and down. Any thread.
class Gauge {
 public:
  // One gauge is either set or added to: a set() while others add may lose their additions.
  void set(std::int64_t value) { add(value - this->value()); }
  void add(std::int64_t delta) { cell_.add(0, static_cast<std::uint64_t>(delta)); }
  std::int64_t value() const { return static_cast<std::int64_t>(cell_.sum(0)); }

 private:
  internal::Cells cell_{1};
};

// Counts observations in buckets with fixed upper bounds. Any thread. `scale` turns the recorded
// integer into the exposed unit (1e-9 for nanoseconds recorded, seconds exposed).
class Histogram {
 public:
  struct Snapshot {
    std::vector<std::uint64_t>
        counts;  // one per bound, then one for everything above; not cumulative
    std::uint64_t count = 0;
    std::uint64_t sum = 0;  // in the recorded unit
  };

  // At most 255 bounds, ascending.
  Histogram(std::span<const std::uint64_t> upper_bounds, double scale);
  void observe(std::uint64_t value, std::uint64_t times = 1);
  Snapshot snapshot() const;
  std::span<const std::uint64_t> upper_bounds() const { return bounds_; }
  double scale() const { return scale_; }

 private:
  std::vector<std::uint64_t> bounds_;
  std::array<std::uint8_t, 65> first_{};  // by bit width of a value: the least bucket it may be in
  double scale_;
  internal::Cells cells_;  // one per bound, the one above all, the sum
};

// Bounds in nanoseconds for guest calls: 100 ns to 1 s; for requests: 100 us to 30 s.
std::span<const std::uint64_t> guest_call_bounds();
std::span<const std::uint64_t> request_bounds();

enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };

// All metrics of the process. Creating locks a mutex and belongs outside the request path; the
// handles do not. The same name and labels give the same metric again.
class Registry {
 public:
  std::shared_ptr<Counter> counter(std::string_view name, std::string_view help, Labels labels);
  std::shared_ptr<Gauge> gauge(std::string_view name, std::string_view help, Labels labels);
  std::shared_ptr<Histogram> histogram(std::string_view name, std::string_view help, Labels labels,
                                       std::span<const std::uint64_t> bounds, double scale);

  // Calls `visit` for every metric, families together, in order of their names.
  struct Entry {
    std::string_view name;
    std::string_view help;
    Kind kind;
    const Labels& labels;
    const Counter* counter;
    const Gauge* gauge;
    const Histogram* histogram;
  };
  void visit(const std::function<void(const Entry&)>& visit) const;

  // Forgets every metric that carries all these labels (of a route that is gone). One that carries
  // the label `plugin` belongs to the plugin, whose other labels may look like ours: it goes only
  // with a `plugin` among these.
  void remove(const Labels& labels);

 private:
  struct Metric {
    std::shared_ptr<Counter> counter;
    std::shared_ptr<Gauge> gauge;
    std::shared_ptr<Histogram> histogram;
  };
  struct Family {
    std::string help;
    Kind kind;
    std::map<Labels, Metric> metrics;
  };
  Metric& find(std::string_view name, std::string_view help, Kind kind, Labels labels);

  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
};

}  // namespace heddle::metrics
