// poll_oneoff, which guests use to sleep; it alone differs between preview 1 and snapshot 0 in what
// it reads.
#pragma once

#include "sandbox/instance.h"

namespace heddle::sandbox::wasi {

// The guest's monotonic clock: the host's, plus what the guest has slept.
std::uint64_t guest_monotonic_now(const Instance& instance);

std::int32_t poll_oneoff(Instance& instance, GuestPtr subscriptions, GuestPtr events,
                         GuestSize count, GuestPtr event_count);
std::int32_t poll_oneoff_snapshot0(Instance& instance, GuestPtr subscriptions, GuestPtr events,
                                   GuestSize count, GuestPtr event_count);

}  // namespace heddle::sandbox::wasi
