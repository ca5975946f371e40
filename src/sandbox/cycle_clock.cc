#include "sandbox/cycle_clock.h"

#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace heddle::sandbox {
namespace {

#if defined(__x86_64__)
// The counter must run at one rate in every power state (CPUID), and the kernel, which watches it
// for skew between cores, must use it as its own clock.
bool tsc_is_trusted() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kInvariantTsc = 1U << 8U;
  if (__get_cpuid(0x80000007, &a, &b, &c, &d) == 0 || (d & kInvariantTsc) == 0) return false;
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string source;
  return std::getline(file, source) && source == "tsc";
}
#endif

}  // namespace

CycleClock::CycleClock() {
#if defined(__x86_64__)
  if (!tsc_is_trusted()) return;
  constexpr Nanoseconds kCalibration = 2'000'000;  // an error of 50 ns at each end is 50 ppm
  const Nanoseconds start = monotonic_now();
  const std::uint64_t cycles_start = __rdtsc();
  Nanoseconds end = start;
  while (end - start < kCalibration) end = monotonic_now();
  const std::uint64_t cycles = __rdtsc() - cycles_start;
  if (cycles == 0) return;
  scale_ = (static_cast<std::uint64_t>(end - start) << kShift) / cycles;
  uses_tsc_ = scale_ > 0;
  if (!uses_tsc_) scale_ = std::uint64_t{1} << kShift;
#endif
}

}  // namespace heddle::sandbox
