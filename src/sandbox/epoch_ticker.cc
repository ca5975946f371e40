#include "sandbox/epoch_ticker.h"

#include <pthread.h>

#include <algorithm>
#include <ctime>

#include "base/clock.h"

namespace heddle::sandbox {
namespace {

// Ticks without a guest before the thread sleeps: a server with steady traffic should not pay for
// waking it.
constexpr int kIdleTicks = 50;
// Ticks until the next one while no guest is seen to run. One that runs for long is seen at it, and
// those after are on time.
constexpr int kSlowTicks = 4;

void sleep_until(Nanoseconds instant) {
  const timespec until{.tv_sec = instant / 1'000'000'000, .tv_nsec = instant % 1'000'000'000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

}  // namespace

EpochTicker::EpochTicker(std::chrono::nanoseconds tick, void (*advance)(void* context),
                         void* context)
    : tick_(std::max(tick, std::chrono::nanoseconds(std::chrono::microseconds(100)))),
      advance_(advance),
      context_(context) {
  slots_[0].shared_ = true;
  thread_ = std::thread([this] { run(); });
}

EpochTicker::~EpochTicker() {
  stop_.store(true);
  wake();
  thread_.join();
}

void EpochTicker::Slot::announce(EpochTicker& ticker) {
  entered_.store(true, std::memory_order_seq_cst);
  if (ticker.asleep_.load(std::memory_order_seq_cst)) ticker.wake();
}

// Since the last time it was asked.
bool EpochTicker::Slot::was_active() {
  const bool entered = entered_.exchange(false, std::memory_order_seq_cst);
  return entered || is_running();
}

void EpochTicker::wake() {
  asleep_.store(false, std::memory_order_seq_cst);
  asleep_.notify_one();
}

bool EpochTicker::any_active() {
  return std::ranges::any_of(slots_, [](Slot& slot) { return slot.was_active(); });
}

bool EpochTicker::any_running() {
  return std::ranges::any_of(slots_, [](const Slot& slot) { return slot.is_running(); });
}

void EpochTicker::run() {
  pthread_setname_np(pthread_self(), "heddle-epoch");
  Nanoseconds next = monotonic_now();
  int idle = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    // A tick that came late is not made up for: guests would lose time that they did not run.
    const int ticks = any_running() ? 1 : kSlowTicks;
    next = std::max(next + ticks * tick_.count(), monotonic_now());
    sleep_until(next);
    advance_(context_);
    idle = any_active() ? 0 : idle + 1;
    if (idle < kIdleTicks) continue;
    asleep_.store(true, std::memory_order_seq_cst);
    if (any_active() || stop_.load()) {
      asleep_.store(false);
    } else {
      asleep_.wait(true);
    }
    idle = 0;
    next = monotonic_now();
  }
}

}  // namespace heddle::sandbox
