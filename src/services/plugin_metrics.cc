#include "services/plugin_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace heddle::services {
namespace {

constexpr std::string_view kPrefix = "heddle_plugin_custom_";
constexpr std::string_view kHelp = "Defined by a plugin (Proxy-Wasm define_metric).";
constexpr std::size_t kMaxLabels = 16;

// The unit is the plugin's own; these bounds serve milliseconds and small counts alike.
constexpr std::array<std::uint64_t, 19> kBounds = {
    1,     2,     5,      10,     25,     50,      100,     250,       500,      1'000,
    2'500, 5'000, 10'000, 30'000, 60'000, 300'000, 600'000, 1'800'000, 3'600'000};

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Prometheus allows letters, digits and underscores.
std::string sanitise(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (!is_name_character(c)) c = '_';
  }
  return out;
}

std::string label_name(std::string_view key) {
  std::string out = sanitise(key);
  const bool starts_with_digit = out.front() >= '0' && out.front() <= '9';
  if (out == "plugin" || out == "le" || out.starts_with("__") || starts_with_digit) {
    out.insert(0, "custom_");
  }
  return out;
}

struct Exposed {
  std::string name;
  metrics::Labels labels;
};

// "requests;code=200;method=GET" is requests{code="200",method="GET"}; a name without ';' has no
// labels.
Exposed expose(std::string_view plugin, std::string_view name) {
  Exposed out{.name = {}, .labels = {{"plugin", std::string(plugin)}}};
  const bool has_parts = name.contains(';');
  while (!name.empty()) {
    const std::size_t end = std::min(name.find(';'), name.size());
    const std::string_view part = name.substr(0, end);
    name.remove_prefix(std::min(end + 1, name.size()));
    const std::size_t equals = part.find('=');
    if (has_parts && equals != std::string_view::npos && equals > 0 &&
        out.labels.size() < kMaxLabels) {
      std::string key = label_name(part.substr(0, equals));
      const bool taken =
          std::ranges::any_of(out.labels, [&](const auto& label) { return label.first == key; });
      if (!taken) out.labels.emplace_back(std::move(key), part.substr(equals + 1));
    } else if (!part.empty()) {
      out.name += (out.name.empty() ? "" : "_") + sanitise(part);
    }
  }
  if (out.name.empty()) out.name = "unnamed";
  return out;
}

constexpr std::array<std::string_view, 3> kTypeNames = {"counter", "gauge", "histogram"};

}  // namespace

void PluginMetric::record(std::uint64_t value) const {
  switch (type) {
    case PluginMetricType::kCounter:
      counter->add(value);
      break;
    case PluginMetricType::kGauge:
      gauge->set(static_cast<std::int64_t>(value));
      break;
    case PluginMetricType::kHistogram:
      histogram->observe(value);
      break;
  }
}

bool PluginMetric::increment(std::int64_t delta) const {
  if (type == PluginMetricType::kGauge) {
    gauge->add(delta);
    return true;
  }
  if (type != PluginMetricType::kCounter || delta < 0) return false;
  counter->add(static_cast<std::uint64_t>(delta));
  return true;
}

bool PluginMetric::get(std::uint64_t& value) const {
  if (type == PluginMetricType::kHistogram) return false;
  value = type == PluginMetricType::kCounter ? counter->value()
                                             : static_cast<std::uint64_t>(gauge->value());
  return true;
}

PluginMetrics::PluginMetrics(metrics::Registry& registry) : registry_(registry) {}

Result<std::shared_ptr<const PluginMetric>> PluginMetrics::define(std::string_view plugin,
                                                                  PluginMetricType type,
                                                                  std::string_view name) {
  const std::lock_guard lock(mutex_);
  auto key = std::pair(std::string(plugin), std::string(name));
  if (const auto found = metrics_.find(key); found != metrics_.end()) {
    if (found->second->type != type) {
      return fail(ErrorKind::kConflict,
                  fmt::format("metric \"{}\" is a {} already", name,
                              kTypeNames.at(static_cast<std::size_t>(found->second->type))));
    }
  } else {
    const auto first = metrics_.lower_bound({std::string(plugin), {}});
    const auto last = metrics_.lower_bound({std::string(plugin) + '\0', {}});
    if (static_cast<std::size_t>(std::distance(first, last)) >= kMaxPerPlugin) {
      return fail(ErrorKind::kLimit,
                  fmt::format("the plugin has {} metrics already", kMaxPerPlugin));
    }
  }

  Exposed exposed = expose(plugin, name);
  // One name has one type for all plugins; a second type gets a name of its own.
  const auto taken = types_.try_emplace(exposed.name, type).first;
  if (taken->second != type) {
    exposed.name += fmt::format("_{}", kTypeNames.at(static_cast<std::size_t>(type)));
    types_.try_emplace(exposed.name, type);
  }
  const std::string full = std::string(kPrefix) + exposed.name;
  auto metric = std::make_shared<PluginMetric>();
  metric->type = type;
  metric->name = name;
  // Asked for every time: the registry forgets a plugin that is gone, and it may come back.
  switch (type) {
    case PluginMetricType::kCounter:
      metric->counter = registry_.counter(full, kHelp, std::move(exposed.labels));
      break;
    case PluginMetricType::kGauge:
      metric->gauge = registry_.gauge(full, kHelp, std::move(exposed.labels));
      break;
    case PluginMetricType::kHistogram:
      metric->histogram = registry_.histogram(full, kHelp, std::move(exposed.labels), kBounds, 1);
      break;
  }
  metrics_[std::move(key)] = metric;
  return metric;
}

}  // namespace heddle::services
