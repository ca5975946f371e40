#include "services/service_metrics.h"

#include <string>

namespace heddle::services {

void ServiceMetrics::Entry::record(Nanoseconds started, bool failed) const {
  calls->add();
  if (failed) errors->add();
  seconds->observe(static_cast<std::uint64_t>(monotonic_now() - started));
}

ServiceMetrics::Entry ServiceMetrics::of(std::string_view plugin, std::string_view service) {
  const metrics::Labels labels = {{"plugin", std::string(plugin)},
                                  {"service", std::string(service)}};
  return {.calls = registry_.counter("heddle_plugin_service_calls_total",
                                     "Calls of plugins to services of the host.", labels),
          .errors = registry_.counter("heddle_plugin_service_errors_total",
                                      "Calls of plugins to services that failed.", labels),
          .seconds = registry_.histogram("heddle_plugin_service_seconds",
                                         "Time from a plugin's call to its answer.", labels,
                                         metrics::request_bounds(), 1e-9)};
}

void ServiceMetrics::limit_hit(std::string_view plugin, std::string_view limit) {
  registry_
      .counter("heddle_plugin_limit_hits_total", "Limits of plugins that were reached.",
               {{"plugin", std::string(plugin)}, {"limit", std::string(limit)}})
      ->add();
}

}  // namespace heddle::services
