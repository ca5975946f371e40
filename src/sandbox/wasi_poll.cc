#include "sandbox/wasi_poll.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/clock.h"
#include "sandbox/wasi.h"

namespace heddle::sandbox::wasi {
namespace {

// Offsets into one subscription. Both start with the user's mark (8 bytes) and the kind; snapshot 0
// has another mark in front of the clock.
struct Layout {
  GuestSize size;
  GuestPtr clock;
  GuestPtr timeout;
  GuestPtr flags;
};
constexpr Layout kPreview1{.size = 48, .clock = 16, .timeout = 24, .flags = 40};
constexpr Layout kSnapshot0{.size = 56, .clock = 24, .timeout = 32, .flags = 48};
constexpr GuestPtr kKind = 8;
constexpr GuestPtr kFd = 16;
constexpr GuestSize kEventSize = 32;
constexpr std::uint8_t kClockKind = 0;
constexpr std::uint16_t kAbsolute = 1;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

struct Subscription {
  std::uint64_t mark = 0;
  std::uint8_t kind = 0;
  std::uint64_t wait = kNever;  // nanoseconds from now; 0: ready
  Errno error = kSuccess;
};

// `at` lies inside the guest's memory: the caller has checked all subscriptions at once.
Subscription read(const Instance& instance, const GuestMemory& memory, GuestPtr at,
                  const Layout& layout) {
  Subscription out;
  out.mark = memory.load<std::uint64_t>(at).value_or(0);
  out.kind = memory.load<std::uint8_t>(at + kKind).value_or(0);
  if (out.kind != kClockKind) {
    // Standard streams never block; there are no others.
    out.wait = 0;
    if (memory.load<std::uint32_t>(at + kFd).value_or(kNever & 0xFFFFFFFFU) > 2) out.error = kBadFd;
    return out;
  }
  const auto clock = memory.load<std::uint32_t>(at + layout.clock).value_or(0);
  const auto timeout = memory.load<std::uint64_t>(at + layout.timeout).value_or(0);
  const auto flags = memory.load<std::uint16_t>(at + layout.flags).value_or(0);
  if (clock > 1) {
    out.wait = 0;
    out.error = kInvalid;
    return out;
  }
  const std::uint64_t now =
      clock == 0 ? static_cast<std::uint64_t>(wall_now()) : guest_monotonic_now(instance);
  out.wait = (flags & kAbsolute) == 0 ? timeout : timeout > now ? timeout - now : 0;
  return out;
}

void write_event(const GuestMemory& memory, GuestPtr at, const Subscription& subscription) {
  memory.store(at, subscription.mark);
  memory.store(at + 8, static_cast<std::uint16_t>(subscription.error));
  memory.store(at + 10, static_cast<std::uint16_t>(subscription.kind));
  memory.store(at + 12, std::uint32_t{0});
  memory.store(at + 16, std::uint64_t{0});
  memory.store(at + 24, std::uint64_t{0});
}

// Whatever is ready first is reported: at once when a stream is asked for, after a sleep when only
// clocks are; by default that takes no time. So runtimes that sleep in a loop until their clock
// says so (Go, TinyGo) neither spin nor stop their worker.
std::int32_t poll(Instance& instance, GuestPtr subscriptions, GuestPtr events, GuestSize count,
                  GuestPtr event_count, const Layout& layout) {
  if (count == 0 || count > kMaxSubscriptions) return kInvalid;
  const GuestMemory memory = instance.memory();
  if (!memory.view(subscriptions, count * layout.size) ||
      !memory.view(events, count * kEventSize) || !memory.store(event_count, std::uint32_t{0})) {
    return kFault;
  }
  std::uint64_t soonest = kNever;
  for (GuestSize i = 0; i < count; ++i) {
    soonest =
        std::min(soonest, read(instance, memory, subscriptions + i * layout.size, layout).wait);
  }
  GuestSize ready = 0;
  for (GuestSize i = 0; i < count; ++i) {
    const Subscription item = read(instance, memory, subscriptions + i * layout.size, layout);
    if (item.wait > soonest) continue;
    write_event(memory, events + ready * kEventSize, item);
    ++ready;
  }
  memory.store(event_count, ready);
  if (soonest > 0 && instance.wasi() != nullptr) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max() / 4;
    instance.wasi()->sleep(
        instance, std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(soonest, kMost))));
  }
  return kSuccess;
}

}  // namespace

std::uint64_t guest_monotonic_now(const Instance& instance) {
  const WasiHost* host = instance.wasi();
  const std::int64_t slept = host == nullptr ? 0 : host->slept.count();
  return static_cast<std::uint64_t>(monotonic_now() + slept);
}

std::int32_t poll_oneoff(Instance& instance, GuestPtr subscriptions, GuestPtr events,
                         GuestSize count, GuestPtr event_count) {
  return poll(instance, subscriptions, events, count, event_count, kPreview1);
}

std::int32_t poll_oneoff_snapshot0(Instance& instance, GuestPtr subscriptions, GuestPtr events,
                                   GuestSize count, GuestPtr event_count) {
  return poll(instance, subscriptions, events, count, event_count, kSnapshot0);
}

}  // namespace heddle::sandbox::wasi

namespace heddle::sandbox {

void WasiHost::sleep(Instance& /*instance*/, std::chrono::nanoseconds duration) {
  constexpr std::chrono::nanoseconds kMost(std::numeric_limits<std::int64_t>::max() / 4);
  slept = std::min(slept + std::min(duration, kMost), kMost);
}

}  // namespace heddle::sandbox
