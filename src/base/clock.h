// Time as Heddle measures it. Durations are std::chrono; instants are nanoseconds of the monotonic
// clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

namespace heddle {

using Nanoseconds = std::int64_t;

// CLOCK_MONOTONIC in nanoseconds; about 20 ns a call.
inline Nanoseconds monotonic_now() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<Nanoseconds>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec;
}

// CLOCK_REALTIME, nanoseconds since the Unix epoch.
inline Nanoseconds wall_now() {
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  return static_cast<Nanoseconds>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec;
}

constexpr Nanoseconds to_nanoseconds(std::chrono::nanoseconds duration) {
  return duration.count();
}

}  // namespace heddle
