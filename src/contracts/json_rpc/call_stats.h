// The built-in metrics of one plugin (heddle_plugin_*), under the names of the other contracts. Any
// thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "extension/plugin_contract.h"

namespace heddle::json_rpc {

class CallStats {
 public:
  CallStats(metrics::Registry& registry, std::string_view plugin);

  void call(std::chrono::nanoseconds wall, std::chrono::nanoseconds cpu);
  void host_call() { host_calls_->add(); }
  void instances(std::int64_t delta);
  void queued(std::int64_t delta) { queued_->add(delta); }
  void error(std::string_view cause, std::string message);
  void limit_hit(std::string_view limit);

  extension::PluginStats snapshot() const;

 private:
  metrics::Registry& registry_;
  std::string plugin_;
  std::shared_ptr<metrics::Counter> calls_;
  std::shared_ptr<metrics::Counter> host_calls_;
  std::shared_ptr<metrics::Histogram> duration_;
  std::shared_ptr<metrics::Counter> cpu_;
  std::shared_ptr<metrics::Gauge> instances_;
  std::shared_ptr<metrics::Gauge> queued_;
  std::atomic<std::uint64_t> own_calls_{0};
  std::atomic<std::uint64_t> own_wall_{0};  // nanoseconds
  std::atomic<std::uint64_t> own_cpu_{0};   // nanoseconds
  std::atomic<std::int64_t> own_instances_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint64_t> limit_hits_{0};
  mutable std::mutex mutex_;
  std::string last_error_;
};

}  // namespace heddle::json_rpc
