// A clock for intervals around guest calls: the CPU's time stamp counter where the kernel itself
// trusts it, otherwise CLOCK_MONOTONIC. Any thread; each Engine calibrates one when it is made (2
// ms).
#pragma once

#include <cstdint>

#include "base/clock.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace heddle::sandbox {

class CycleClock {
 public:
  CycleClock();

  // Some unit since some instant.
  std::uint64_t now() const {
#if defined(__x86_64__)
    if (uses_tsc_) return __rdtsc();
#endif
    return static_cast<std::uint64_t>(monotonic_now());
  }

  Nanoseconds nanoseconds(std::uint64_t interval) const {
    __extension__ using Wide = unsigned __int128;
    return static_cast<Nanoseconds>((Wide{interval} * scale_) >> kShift);
  }

  bool uses_tsc() const { return uses_tsc_; }

 private:
  static constexpr unsigned kShift = 32;

  bool uses_tsc_ = false;
  std::uint64_t scale_ = std::uint64_t{1} << kShift;  // nanoseconds per unit, in fixed point
};

}  // namespace heddle::sandbox
