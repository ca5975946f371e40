// What the process uses, read from /proc/self. Names follow the Prometheus client libraries
// (process_*).
#pragma once

#include <cstdint>

namespace heddle::telemetry {

struct ProcessMetrics {
  std::uint64_t resident_memory_bytes = 0;
  std::uint64_t virtual_memory_bytes = 0;
  double cpu_seconds = 0;  // user and system
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
  std::uint64_t threads = 0;
  double start_time_seconds = 0;  // since the Unix epoch
};

// Fields that cannot be read stay 0. About 100 us; any thread.
ProcessMetrics read_process_metrics();

}  // namespace heddle::telemetry
