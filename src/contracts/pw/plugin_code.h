// One version of a plugin as all its VMs share it: entry, linked module, facts, metric handles. Immutable.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/metrics.h"
#include "contracts/pw/dependencies.h"
#include "contracts/pw/module_check.h"
#include "extension/http_filter.h"
#include "extension/plugin_contract.h"
#include "sandbox/instance.h"

namespace heddle::proxy_wasm {

enum class Callback : std::uint8_t {
  kStart,
  kContextCreate,
  kVmStart,
  kConfigure,
  kTick,
  kRequestHeaders,
  kRequestBody,
  kRequestTrailers,
  kResponseHeaders,
  kResponseBody,
  kResponseTrailers,
  kHttpCallResponse,
  kQueueReady,
  kDone,
  kLog,
  kDelete,
  kCount,
};
std::string_view to_string(Callback callback);

struct PluginMetricHandles {
  PluginMetricHandles(metrics::Registry& registry, const std::string& plugin);
  std::array<std::shared_ptr<metrics::Counter>, static_cast<std::size_t>(Callback::kCount)> calls;
  std::shared_ptr<metrics::Histogram> duration;
  std::shared_ptr<metrics::Counter> cpu_microseconds;
  std::shared_ptr<metrics::Counter> exchanges;
  std::shared_ptr<metrics::Gauge> memory;
  std::shared_ptr<metrics::Gauge> instances;
};

class PluginCode {
 public:
  PluginCode(Dependencies dependencies, extension::PluginSpec spec,
             std::shared_ptr<const sandbox::LinkedModule> linked, ModuleFacts facts);

  const Dependencies dependencies;
  const extension::PluginSpec spec;
  const std::shared_ptr<const sandbox::LinkedModule> linked;
  const ModuleFacts facts;
  const std::string root_id;  // of the entry
  const extension::FilterInterest interest;
  const sandbox::Limits limits;
  PluginMetricHandles metrics;

  bool exports(std::string_view name) const { return linked->module().find_export(name) != nullptr; }

  // Counted under heddle_plugin_errors_total{plugin,reason} and heddle_plugin_limit_hits_total{plugin,limit}; not on the
  // request path of a healthy plugin.
  void count_error(std::string_view reason) const;
  void count_limit(std::string_view limit) const;
  void remember_error(std::string text) const;
  std::string last_error() const;
  std::uint64_t errors() const { return errors_.load(std::memory_order_relaxed); }
  std::uint64_t limit_hits() const { return limit_hits_.load(std::memory_order_relaxed); }

 private:
  mutable std::mutex mutex_;
  mutable std::string last_error_;
  mutable std::atomic<std::uint64_t> errors_{0};
  mutable std::atomic<std::uint64_t> limit_hits_{0};
};

}  // namespace heddle::proxy_wasm
