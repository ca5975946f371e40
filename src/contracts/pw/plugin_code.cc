#include "contracts/pw/plugin_code.h"

#include <algorithm>

namespace heddle::proxy_wasm {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Callback::kCount)> kNames = {
    "start",           "on_context_create",  "on_vm_start",      "on_configure",
    "on_tick",         "on_request_headers", "on_request_body",  "on_request_trailers",
    "on_response_headers", "on_response_body", "on_response_trailers", "on_http_call_response",
    "on_queue_ready",  "on_done",            "on_log",           "on_delete"};

// Exported, and wanted by the entry's `phase:`.
extension::FilterInterest interest_of(const sandbox::Module& module, const extension::PluginSpec& spec) {
  const auto wanted = [&](std::string_view phase) {
    const bool listed = spec.phases.empty() || std::ranges::find(spec.phases, "all") != spec.phases.end() ||
                        std::ranges::find(spec.phases, phase) != spec.phases.end();
    return listed && module.find_export("proxy_" + std::string(phase)) != nullptr;
  };
  return {.request_headers = wanted("on_request_headers"),
          .request_data = wanted("on_request_body"),
          .request_trailers = wanted("on_request_trailers"),
          .response_headers = wanted("on_response_headers"),
          .response_data = wanted("on_response_body"),
          .response_trailers = wanted("on_response_trailers"),
          .log = wanted("on_log")};
}

sandbox::Limits limits_of(const extension::PluginSpec& spec) {
  sandbox::Limits limits;
  limits.memory = spec.memory_limit;
  limits.timeout = spec.timeout;
  limits.host_calls = spec.host_calls;
  return limits;
}

}  // namespace

std::string_view to_string(Callback callback) { return kNames.at(static_cast<std::size_t>(callback)); }

PluginMetricHandles::PluginMetricHandles(metrics::Registry& registry, const std::string& plugin) {
  const metrics::Labels labels{{"plugin", plugin}};
  for (std::size_t i = 0; i < calls.size(); ++i) {
    calls.at(i) = registry.counter("heddle_plugin_calls_total", "Guest callbacks",
                                   {{"plugin", plugin}, {"callback", std::string(kNames.at(i))}});
  }
  duration = registry.histogram("heddle_plugin_call_duration_seconds", "Wall time of guest callbacks", labels,
                                metrics::guest_call_bounds(), 1e-9);
  cpu_microseconds = registry.counter("heddle_plugin_cpu_microseconds_total", "CPU time in the guest", labels);
  exchanges = registry.counter("heddle_plugin_exchanges_total", "Exchanges that the plugin has seen", labels);
  memory = registry.gauge("heddle_plugin_memory_bytes", "Linear memory of all instances", labels);
  instances = registry.gauge("heddle_plugin_instances", "Instances that live", labels);
}

PluginCode::PluginCode(Dependencies deps, extension::PluginSpec entry,
                       std::shared_ptr<const sandbox::LinkedModule> module, ModuleFacts found)
    : dependencies(deps),
      spec(std::move(entry)),
      linked(std::move(module)),
      facts(std::move(found)),
      root_id(spec.root_id),
      interest(interest_of(linked->module(), spec)),
      limits(limits_of(spec)),
      metrics(deps.metrics, spec.name) {}

void PluginCode::count_error(std::string_view reason) const {
  errors_.fetch_add(1, std::memory_order_relaxed);
  dependencies.metrics
      .counter("heddle_plugin_errors_total", "Failed guest callbacks, by reason",
               {{"plugin", spec.name}, {"reason", std::string(reason)}})
      ->add();
}

void PluginCode::count_limit(std::string_view limit) const {
  limit_hits_.fetch_add(1, std::memory_order_relaxed);
  dependencies.metrics
      .counter("heddle_plugin_limit_hits_total", "Limits that a plugin ran into",
               {{"plugin", spec.name}, {"limit", std::string(limit)}})
      ->add();
}

void PluginCode::remember_error(std::string text) const {
  const std::lock_guard lock(mutex_);
  last_error_ = std::move(text);
}

std::string PluginCode::last_error() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

}  // namespace heddle::proxy_wasm
