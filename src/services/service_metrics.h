// Calls of plugins to services, as metrics: heddle_plugin_service_calls_total, _errors_total and
// _seconds, by plugin and service. Any thread.
#pragma once

#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/metrics.h"

namespace heddle::services {

class ServiceMetrics {
 public:
  struct Entry {
    std::shared_ptr<metrics::Counter> calls;
    std::shared_ptr<metrics::Counter> errors;
    std::shared_ptr<metrics::Histogram> seconds;

    void record(Nanoseconds started, bool failed) const;
  };

  explicit ServiceMetrics(metrics::Registry& registry) : registry_(registry) {}
  // `service`: "sql", "state", "http", "events". Asked anew for each call: a plugin that goes takes
  // its metrics along.
  Entry of(std::string_view plugin, std::string_view service);
  // Counts a refusal by a limit: heddle_plugin_limit_hits_total{plugin,limit}.
  void limit_hit(std::string_view plugin, std::string_view limit);

 private:
  metrics::Registry& registry_;
};

}  // namespace heddle::services
