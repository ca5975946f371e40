#include "base/metrics.h"

#include <algorithm>
#include <array>
#include <bit>

namespace heddle::metrics {
namespace {

constexpr std::array<std::uint64_t, 14> kGuestCallBounds = {
    100,    250,     500,     1'000,     2'500,      5'000,       10'000,
    50'000, 100'000, 500'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};

constexpr std::array<std::uint64_t, 14> kRequestBounds = {
    100'000,    250'000,    500'000,     1'000'000,   2'500'000,     5'000'000,     10'000'000,
    25'000'000, 50'000'000, 100'000'000, 500'000'000, 1'000'000'000, 5'000'000'000, 30'000'000'000};

}  // namespace

Histogram::Histogram(std::span<const std::uint64_t> upper_bounds, double scale)
    : bounds_(upper_bounds.begin(), upper_bounds.end()),
      scale_(scale),
      cells_(upper_bounds.size() + 2) {
  for (std::size_t width = 1; width < first_.size(); ++width) {
    const auto bound = std::ranges::lower_bound(bounds_, std::uint64_t{1} << (width - 1));
    first_[width] = static_cast<std::uint8_t>(bound - bounds_.begin());
  }
}

void Histogram::observe(std::uint64_t value, std::uint64_t times) {
  std::size_t bucket = first_[static_cast<std::size_t>(std::bit_width(value))];
  while (bucket < bounds_.size() && bounds_[bucket] < value) ++bucket;
  cells_.add(bucket, times);
  cells_.add(bounds_.size() + 1, value * times);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot out;
  out.counts.resize(bounds_.size() + 1);
  for (std::size_t i = 0; i < out.counts.size(); ++i) {
    out.counts[i] = cells_.sum(i);
    out.count += out.counts[i];
  }
  out.sum = cells_.sum(bounds_.size() + 1);
  return out;
}

std::span<const std::uint64_t> guest_call_bounds() {
  return kGuestCallBounds;
}
std::span<const std::uint64_t> request_bounds() {
  return kRequestBounds;
}

Registry::Metric& Registry::find(std::string_view name, std::string_view help, Kind kind,
                                 Labels labels) {
  auto it = families_.find(name);
  if (it == families_.end()) {
    it = families_.emplace(std::string(name), Family{std::string(help), kind, {}}).first;
  }
  return it->second.metrics[std::move(labels)];
}

std::shared_ptr<Counter> Registry::counter(std::string_view name, std::string_view help,
                                           Labels labels) {
  const std::lock_guard lock(mutex_);
  Metric& metric = find(name, help, Kind::kCounter, std::move(labels));
  if (!metric.counter) metric.counter = std::make_shared<Counter>();
  return metric.counter;
}

std::shared_ptr<Gauge> Registry::gauge(std::string_view name, std::string_view help,
                                       Labels labels) {
  const std::lock_guard lock(mutex_);
  Metric& metric = find(name, help, Kind::kGauge, std::move(labels));
  if (!metric.gauge) metric.gauge = std::make_shared<Gauge>();
  return metric.gauge;
}

std::shared_ptr<Histogram> Registry::histogram(std::string_view name, std::string_view help,
                                               Labels labels, std::span<const std::uint64_t> bounds,
                                               double scale) {
  const std::lock_guard lock(mutex_);
  Metric& metric = find(name, help, Kind::kHistogram, std::move(labels));
  if (!metric.histogram) metric.histogram = std::make_shared<Histogram>(bounds, scale);
  return metric.histogram;
}

void Registry::visit(const std::function<void(const Entry&)>& visit) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, family] : families_) {
    for (const auto& [labels, metric] : family.metrics) {
      const bool matches = (family.kind == Kind::kCounter && metric.counter) ||
                           (family.kind == Kind::kGauge && metric.gauge) ||
                           (family.kind == Kind::kHistogram && metric.histogram);
      if (!matches) continue;
      visit(Entry{name, family.help, family.kind, labels, metric.counter.get(), metric.gauge.get(),
                  metric.histogram.get()});
    }
  }
}

void Registry::remove(const Labels& labels) {
  constexpr auto kLabel = &Labels::value_type::first;
  const bool of_plugin = std::ranges::find(labels, "plugin", kLabel) != labels.end();
  const std::lock_guard lock(mutex_);
  for (auto& [name, family] : families_) {
    std::erase_if(family.metrics, [&](const auto& entry) {
      const Labels& own = entry.first;
      if (!of_plugin && std::ranges::find(own, "plugin", kLabel) != own.end()) return false;
      return std::ranges::all_of(
          labels, [&](const auto& label) { return std::ranges::find(own, label) != own.end(); });
    });
  }
}

}  // namespace heddle::metrics
