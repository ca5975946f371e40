// Calls of plugins to services, as metrics: heddle_plugin_service_calls_total, _errors_total and
// _seconds, by plugin and service. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

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
  // `service`: "sql", "state", "http", "events". The reference stays.
  const Entry& of(std::string_view plugin, std::string_view service);
  // Counts a refusal by a limit: heddle_plugin_limit_hits_total{plugin,limit}.
  void limit_hit(std::string_view plugin, std::string_view limit);

 private:
  metrics::Registry& registry_;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Entry> entries_;
};

}  // namespace heddle::services
