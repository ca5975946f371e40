// The record of one plugin version (extension/plugin_record.h), with callbacks and limits by their
// types. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/metrics.h"
#include "contracts/proxy_wasm/callbacks.h"
#include "extension/plugin_contract.h"
#include "extension/plugin_record.h"
#include "sandbox/instance.h"

namespace heddle::proxy_wasm {

// Limits of this contract, named as their settings where they have one. Those of log lines are the
// record's, those that end a guest the sandbox's (sandbox::limit_of).
enum class Limit : std::uint8_t {
  kMemory,
  kOutboundCalls,
  kSharedData,
  kSharedQueue,
  kHeaderBytes,
  kBody,
  kProperties,
  kMetrics,
  kInstances,
};
std::string_view to_string(Limit limit);

class PluginStats final : public extension::PluginRecord {
 public:
  // A callback that the module lacks has no metric.
  PluginStats(Log& log, metrics::Registry& registry, const extension::PluginSpec& spec,
              const CallbackSet& callbacks);

  // One outermost guest call; its duration comes by duration(), if it is measured.
  void call(Callback callback) { count(static_cast<std::size_t>(callback)); }
  void limit_hit(Limit limit) { PluginRecord::limit_hit(to_string(limit)); }
  // With the limit behind this kind of trap, if there is one.
  void trap(const sandbox::Trap& trap, std::string message);
};

}  // namespace heddle::proxy_wasm
