// Counters, gauges and histograms that any worker may change without a lock or a shared cache line.
//
// Each metric holds one slot per worker thread; a reader sums them. Handles are shared_ptr: a
// metric lives as long as its registry entry or a handle. The registry is read by telemetry
// (Prometheus text); folders below telemetry only see this header.
#pragma once

#include <array>
#include <atomic>
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

namespace heddle::metrics {

// Slot of the calling thread. Slots 1 to kShards - 1 belong to one thread each, which need not lock
// the bus to add to them; every other thread shares slot 0.
inline constexpr std::size_t kShards = 32;
void set_thread_shard(std::size_t shard);  // beyond the last slot: 0

namespace internal {

extern thread_local constinit std::size_t t_shard;

template <typename T>
void add_to_slot(std::atomic<T>& slot, T delta) {
  if (t_shard == 0) {
    slot.fetch_add(delta, std::memory_order_relaxed);
  } else {
    slot.store(slot.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }
}

}  // namespace internal

inline std::size_t thread_shard() {
  return internal::t_shard;
}

using Labels = std::vector<std::pair<std::string, std::string>>;

// A number that only grows. Any thread.
class Counter {
 public:
  void add(std::uint64_t delta = 1) {
    internal::add_to_slot(slots_[internal::t_shard].value, delta);
  }
  std::uint64_t value() const;

 private:
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> value{0};
  };
  std::array<Slot, kShards> slots_;
};

// A number that goes up and down. Any thread.
class Gauge {
 public:
  // One gauge is either set or added to: a set() while others add may lose their additions.
  void set(std::int64_t value) {
    base_.fetch_add(value - this->value(), std::memory_order_relaxed);
  }
  void add(std::int64_t delta) { internal::add_to_slot(slots_[internal::t_shard].value, delta); }
  std::int64_t value() const;

 private:
  struct alignas(64) Slot {
    std::atomic<std::int64_t> value{0};
  };
  std::atomic<std::int64_t> base_{0};
  std::array<Slot, kShards> slots_;
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

  Histogram(std::span<const std::uint64_t> upper_bounds, double scale);
  void observe(std::uint64_t value);
  Snapshot snapshot() const;
  std::span<const std::uint64_t> upper_bounds() const { return bounds_; }
  double scale() const { return scale_; }

 private:
  std::vector<std::uint64_t> bounds_;
  double scale_;
  std::size_t stride_;  // slots per shard: buckets + sum, rounded up to a cache line
  std::unique_ptr<std::atomic<std::uint64_t>[]> slots_;
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

  // Forgets every metric that carries this label (a plugin or route that is gone).
  void remove(std::string_view label, std::string_view value);

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
