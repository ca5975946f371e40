// Metrics that plugins define (Proxy-Wasm define_metric): process-wide by plugin and name, exposed
// by the registry as heddle_plugin_custom_* with the plugin as a label. Names are the plugin's own;
// `key=value;` parts become labels.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "base/result.h"

namespace heddle::services {

enum class PluginMetricType : std::uint8_t { kCounter = 0, kGauge = 1, kHistogram = 2 };

// One defined statistic; shared by every instance of the plugin that defines the same name.
struct PluginMetric {
  PluginMetricType type = PluginMetricType::kCounter;
  std::string name;  // as the plugin gave it
  std::shared_ptr<metrics::Counter> counter;
  std::shared_ptr<metrics::Gauge> gauge;
  std::shared_ptr<metrics::Histogram> histogram;

  void record(std::uint64_t value) const;  // counter: adds; gauge: sets; histogram: observes
  bool increment(
      std::int64_t delta) const;         // false: not of this type, or a counter that would fall
  bool get(std::uint64_t& value) const;  // false for a histogram
};

class PluginMetrics {
 public:
  static constexpr std::size_t kMaxPerPlugin = 1000;
  explicit PluginMetrics(metrics::Registry& registry);
  // The same plugin and name give the same statistic. kConflict: defined with another type, or
  // exposed under a name that a histogram has. kLimit: too many.
  Result<std::shared_ptr<const PluginMetric>> define(std::string_view plugin, PluginMetricType type,
                                                     std::string_view name);

 private:
  // The metric with which one of this name and type would share names of samples; or empty.
  std::string same_samples(const std::string& name, PluginMetricType type) const;

  metrics::Registry& registry_;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const PluginMetric>> metrics_;
  std::map<std::string, PluginMetricType, std::less<>> types_;  // of every exposed name
};

}  // namespace heddle::services
