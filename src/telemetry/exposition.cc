#include "telemetry/exposition.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <span>
#include <sstream>
#include <utility>
#include <vector>

#include "telemetry/process_metrics.h"

namespace heddle::telemetry {
namespace {

prometheus::MetricType type_of(metrics::Kind kind) {
  switch (kind) {
    case metrics::Kind::kCounter:
      return prometheus::MetricType::Counter;
    case metrics::Kind::kGauge:
      return prometheus::MetricType::Gauge;
    case metrics::Kind::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric::Histogram to_histogram(const metrics::Histogram& histogram) {
  const metrics::Histogram::Snapshot snapshot = histogram.snapshot();
  const std::span<const std::uint64_t> bounds = histogram.upper_bounds();
  prometheus::ClientMetric::Histogram out;
  out.sample_count = snapshot.count;
  out.sample_sum = static_cast<double>(snapshot.sum) * histogram.scale();
  out.bucket.reserve(bounds.size() + 1);
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    cumulative += snapshot.counts.at(i);
    const double bound = i < bounds.size() ? static_cast<double>(bounds[i]) * histogram.scale()
                                           : std::numeric_limits<double>::infinity();
    out.bucket.push_back({cumulative, bound});
  }
  return out;
}

prometheus::ClientMetric to_metric(const metrics::Registry::Entry& entry) {
  prometheus::ClientMetric out;
  out.label.reserve(entry.labels.size());
  for (const auto& [name, value] : entry.labels) out.label.push_back({name, value});
  switch (entry.kind) {
    case metrics::Kind::kCounter:
      out.counter.value = static_cast<double>(entry.counter->value());
      break;
    case metrics::Kind::kGauge:
      out.gauge.value = static_cast<double>(entry.gauge->value());
      break;
    case metrics::Kind::kHistogram:
      out.histogram = to_histogram(*entry.histogram);
      break;
  }
  return out;
}

// Everything in Heddle's own registry, whose counters are sharded by worker.
class RegistryCollectable final : public prometheus::Collectable {
 public:
  explicit RegistryCollectable(const metrics::Registry& registry) : registry_(registry) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    registry_.visit([&](const metrics::Registry::Entry& entry) {
      if (families.empty() || families.back().name != entry.name) {
        families.push_back(
            {std::string(entry.name), std::string(entry.help), type_of(entry.kind), {}});
      }
      families.back().metric.push_back(to_metric(entry));
    });
    return families;
  }

 private:
  const metrics::Registry& registry_;
};

class ProcessCollectable final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    const ProcessMetrics process = read_process_metrics();
    std::vector<prometheus::MetricFamily> families;
    const auto gauge = [&](const char* name, const char* help, double value) {
      prometheus::ClientMetric metric;
      metric.gauge.value = value;
      families.push_back({name, help, prometheus::MetricType::Gauge, {std::move(metric)}});
    };
    prometheus::ClientMetric cpu;
    cpu.counter.value = process.cpu_seconds;
    families.push_back({"process_cpu_seconds_total",
                        "CPU time used, user and system.",
                        prometheus::MetricType::Counter,
                        {std::move(cpu)}});
    gauge("process_resident_memory_bytes", "Resident memory.",
          static_cast<double>(process.resident_memory_bytes));
    gauge("process_virtual_memory_bytes", "Reserved address space.",
          static_cast<double>(process.virtual_memory_bytes));
    gauge("process_open_fds", "Open file descriptors.", static_cast<double>(process.open_fds));
    gauge("process_max_fds", "Limit of open file descriptors.",
          static_cast<double>(process.max_fds));
    gauge("process_threads", "Threads.", static_cast<double>(process.threads));
    gauge("process_start_time_seconds", "Start of the process, seconds since the Unix epoch.",
          process.start_time_seconds);
    return families;
  }
};

}  // namespace

std::string prometheus_text(const metrics::Registry& registry) {
  std::vector<prometheus::MetricFamily> families = RegistryCollectable(registry).Collect();
  for (prometheus::MetricFamily& family : ProcessCollectable().Collect()) {
    families.push_back(std::move(family));
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace heddle::telemetry
