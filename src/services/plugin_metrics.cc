#include "services/plugin_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"

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

// Label values are UTF-8 in Prometheus' format: other bytes, and control characters, become '?'.
std::string valid_text(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    const bool fine = length > 0 && static_cast<unsigned char>(text[i]) >= ' ' && text[i] != 0x7f;
    if (fine) {
      out += text.substr(i, length);
    } else {
      out += '?';
    }
    i += std::max<std::size_t>(length, 1);
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

void add_label(Exposed& out, std::string_view key, std::string_view value) {
  if (out.labels.size() >= kMaxLabels) return;
  std::string name = label_name(key);
  const bool taken =
      std::ranges::any_of(out.labels, [&](const auto& label) { return label.first == name; });
  if (!taken) out.labels.emplace_back(std::move(name), valid_text(value));
}

void add_name(Exposed& out, std::string_view part) {
  if (!part.empty()) out.name += (out.name.empty() ? "" : "_") + sanitise(part);
}

// Parts between separators: labels where they have the sign, else of the name.
void read_parts(std::string_view text, std::string_view separator, std::string_view sign,
                Exposed& out) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + separator.size(), text.size()));
    const std::size_t equals = part.find(sign);
    if (equals != std::string_view::npos && equals > 0) {
      add_label(out, part.substr(0, equals), part.substr(equals + sign.size()));
    } else {
      part.remove_prefix(std::min(part.find_first_not_of("_."), part.size()));
      add_name(out, part);
    }
  }
}

// A key is the word before an equals sign; its value ends where the next key begins.
void read_words(std::string_view text, Exposed& out) {
  constexpr std::string_view kBetween = "_.";
  std::size_t equals = text.find('=');
  std::size_t key = equals != std::string_view::npos ? text.find_last_of(kBetween, equals)
                                                     : std::string_view::npos;
  if (key == std::string_view::npos || key == 0 || key + 1 == equals) return add_name(out, text);
  add_name(out, text.substr(0, key));
  while (true) {
    const std::size_t start = equals + 1;
    std::size_t next = equals;
    std::size_t end = std::string_view::npos;
    while ((next = text.find('=', next + 1)) != std::string_view::npos) {
      end = text.find_last_of(kBetween, next);
      if (end != std::string_view::npos && end >= start && end + 1 < next) break;
    }
    const bool last = next == std::string_view::npos;
    add_label(out, text.substr(key + 1, equals - key - 1),
              last ? text.substr(start) : text.substr(start, end - start));
    if (last) return;
    key = end;
    equals = next;
  }
}

// Metrics of the ABI have no labels, so plugins write them into names, in one of three ways; each
// of these is requests{code="200",method="GET"}:
//   requests;code=200;method=GET
//   requests_code=200_method=GET                (SDK examples, with tag extraction in Envoy)
//   code=.=200;.;method=.=GET;.;_requests       (Istio)
Exposed expose(std::string_view plugin, std::string_view name) {
  Exposed out{.name = {}, .labels = {{"plugin", std::string(plugin)}}};
  if (name.contains("=.=")) {
    read_parts(name, ";.;", "=.=", out);
  } else if (name.contains(';')) {
    read_parts(name, ";", "=", out);
  } else {
    read_words(name, out);
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

// A histogram `h` is exposed as h_bucket, h_sum and h_count, which another metric may not be.
std::string PluginMetrics::same_samples(const std::string& name, PluginMetricType type) const {
  if (const auto own = types_.find(name); own != types_.end() && own->second != type) return name;
  for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
    std::string longer = name + std::string(suffix);
    if (type == PluginMetricType::kHistogram && types_.contains(longer)) return longer;
    if (!name.ends_with(suffix)) continue;
    const auto found = types_.find(name.substr(0, name.size() - suffix.size()));
    if (found != types_.end() && found->second == PluginMetricType::kHistogram) return found->first;
  }
  return {};
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
  const auto taken = types_.find(exposed.name);
  if (taken != types_.end() && taken->second != type) {
    exposed.name += fmt::format("_{}", kTypeNames.at(static_cast<std::size_t>(type)));
  }
  if (const std::string other = same_samples(exposed.name, type); !other.empty()) {
    return fail(ErrorKind::kConflict,
                fmt::format("metric \"{}\" would have samples of the same name as the metric {}; "
                            "rename one of them",
                            name, other));
  }
  types_.try_emplace(exposed.name, type);
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
