// The metrics as Prometheus reads them (text format 0.0.4): everything in the registry, and what
// the process itself uses.
#pragma once

#include <string>
#include <string_view>

#include "base/metrics.h"

namespace heddle::telemetry {

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// One scrape. Any thread; reads /proc/self, takes the registry's mutex for the time of a copy.
// Histogram buckets are cumulative and in the exposed unit (recorded value times scale).
std::string prometheus_text(const metrics::Registry& registry);

}  // namespace heddle::telemetry
