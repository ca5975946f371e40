#include "sandbox/epoch_ticker.h"

#include <gtest/gtest.h>

#include "sandbox/cycle_clock.h"

namespace heddle::sandbox {
namespace {

using namespace std::chrono_literals;

// Waits until `condition` holds; a minute is for a stalled machine.
template <typename Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

TEST(EpochTicker, TicksWhileGuestsRunAndSleepsOtherwise) {
  std::atomic<int> ticks = 0;
  EpochTicker ticker(1ms, [](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &ticks);
  ASSERT_TRUE(eventually([&] { return ticker.asleep(); }));
  for (int round = 0; round < 3; ++round) {
    EpochTicker::Slot& slot = ticker.slot();
    slot.enter(ticker);
    const int before = ticks;
    EXPECT_TRUE(eventually([&] { return ticks > before + 100; }));
    EXPECT_FALSE(ticker.asleep());
    slot.leave();
    EXPECT_TRUE(eventually([&] { return ticker.asleep(); }));
  }
}

// enter() against the ticker falling asleep: whoever enters sees a tick, from the slot of all
// threads and from one of its own.
void enter_while_it_falls_asleep() {
  std::atomic<int> ticks = 0;
  EpochTicker ticker(100us, [](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &ticks);
  for (int i = 0; i < 40; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(4800 + i * 20));
    ticker.slot().enter(ticker);
    const int before = ticks;
    ASSERT_TRUE(eventually([&] { return ticks > before; }));
    ticker.slot().leave();
  }
}

TEST(EpochTicker, NoGuestIsLeftWithoutTicks) {
  enter_while_it_falls_asleep();
  std::thread([] {
    metrics::set_thread_shard(1);
    enter_while_it_falls_asleep();
  }).join();
}

// A guest that enters right after another, while its worker counts as active, and then never ends.
TEST(EpochTicker, AGuestThatNeverEndsKeepsTheTicks) {
  std::thread([] {
    metrics::set_thread_shard(1);
    std::atomic<int> ticks = 0;
    EpochTicker ticker(
        100us, [](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &ticks);
    ticker.slot().enter(ticker);
    ticker.slot().leave();
    ticker.slot().enter(ticker);
    const int before = ticks;
    ASSERT_TRUE(eventually([&] { return ticks > before + 200; }));
    EXPECT_FALSE(ticker.asleep());
    ticker.slot().leave();
  }).join();
}

TEST(CycleClock, AgreesWithTheMonotonicClock) {
  const CycleClock clock;
  const Nanoseconds start = monotonic_now();
  const std::uint64_t begin = clock.now();
  while (monotonic_now() - start < 20'000'000) {
  }
  const Nanoseconds measured = clock.nanoseconds(clock.now() - begin);
  const Nanoseconds real = monotonic_now() - start;
  EXPECT_NEAR(static_cast<double>(measured), static_cast<double>(real),
              0.02 * static_cast<double>(real));
}

}  // namespace
}  // namespace heddle::sandbox
