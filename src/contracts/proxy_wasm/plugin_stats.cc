#include "contracts/proxy_wasm/plugin_stats.h"

#include <array>
#include <utility>

namespace heddle::proxy_wasm {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Limit::kInstances) + 1>
    kLimitNames = {sandbox::kMemoryLimitName,
                   "outbound_calls",
                   "shared_data",
                   "shared_queue",
                   "header_bytes",
                   "body_bytes",
                   "properties",
                   "metrics",
                   "instances"};

std::array<std::string_view, kCallbackCount> names_of(const CallbackSet& callbacks) {
  std::array<std::string_view, kCallbackCount> out;
  for (std::size_t i = 0; i < kCallbackCount; ++i) {
    const auto callback = static_cast<Callback>(i);
    if (callbacks[i] || callback == Callback::kStart) out.at(i) = short_name(callback);
  }
  return out;
}

}  // namespace

std::string_view to_string(Limit limit) {
  return kLimitNames.at(static_cast<std::size_t>(limit));
}

PluginStats::PluginStats(Log& log, metrics::Registry& registry, const extension::PluginSpec& spec,
                         const CallbackSet& callbacks)
    : PluginRecord(log, registry, spec, names_of(callbacks), {.sees_exchanges = true}) {}

void PluginStats::trap(const sandbox::Trap& trap, std::string message) {
  error(sandbox::to_string(trap.reason), std::move(message));
  if (const auto limit = sandbox::limit_of(trap.reason)) PluginRecord::limit_hit(*limit);
}

}  // namespace heddle::proxy_wasm
