// The built-in metrics of one plugin (heddle_plugin_*), with handles fetched once, and the limits
// it can hit. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "contracts/proxy_wasm/callbacks.h"
#include "extension/plugin_contract.h"
#include "sandbox/instance.h"

namespace heddle::proxy_wasm {

// Limits, named as their settings where they have one.
enum class Limit : std::uint8_t {
  kTimeout,
  kMemory,
  kTableElements,
  kHostCalls,
  kLogLines,
  kLogLineBytes,
  kOutboundCalls,
  kSharedData,
  kSharedQueue,
  kHeaderBytes,
  kBody,
  kProperties,
  kMetrics,
  kInstances,
};
inline constexpr std::size_t kLimitCount = static_cast<std::size_t>(Limit::kInstances) + 1;
std::string_view to_string(Limit limit);

class PluginStats {
 public:
  PluginStats(metrics::Registry& registry, std::string_view plugin, const CallbackSet& callbacks);

  // One outermost guest call.
  void call(Callback callback) { calls_[static_cast<std::size_t>(callback)]->add(); }
  // Of one that stands for `calls`.
  void duration(std::chrono::nanoseconds wall, std::uint32_t calls) {
    duration_->observe(static_cast<std::uint64_t>(wall.count()), calls);
  }
  // Shorter times are summed up by the caller.
  void cpu(std::uint64_t microseconds) { cpu_->add(microseconds); }
  void exchange() { exchanges_->add(); }
  void instances(std::int64_t delta) {
    instances_->add(delta);
    own_instances_ += delta;
  }
  void memory(std::int64_t delta) {
    memory_->add(delta);
    own_memory_ += delta;
  }
  void error(std::string_view reason, std::string message);
  void limit_hit(Limit limit);
  // The limit behind this kind of trap, if there is one.
  void trap(const sandbox::Trap& trap, std::string message);

  // Of this version: the metrics count for all versions of a plugin, so what they were at its load
  // is taken off.
  extension::PluginStats snapshot() const;

 private:
  extension::PluginStats totals() const;

  metrics::Registry& registry_;
  std::string plugin_;
  std::array<std::shared_ptr<metrics::Counter>, kCallbackCount> calls_;
  std::shared_ptr<metrics::Histogram> duration_;
  std::shared_ptr<metrics::Counter> cpu_;
  std::shared_ptr<metrics::Counter> exchanges_;
  std::shared_ptr<metrics::Gauge> instances_;
  std::shared_ptr<metrics::Gauge> memory_;
  std::atomic<std::int64_t> own_instances_{0};
  std::atomic<std::int64_t> own_memory_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint64_t> limit_hits_{0};
  extension::PluginStats baseline_;

  mutable std::mutex mutex_;
  std::array<std::shared_ptr<metrics::Counter>, kLimitCount> limits_;  // made at the first hit
  std::string last_error_;
};

}  // namespace heddle::proxy_wasm
