#include "net/timer_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

namespace heddle::net {
namespace {

using namespace std::chrono_literals;

class FakeHost final : public TimerQueue::Host {
 public:
  Nanoseconds precise_now() const override { return now; }
  Nanoseconds event_now() const override { return now; }
  void wake_at(Nanoseconds when) override {
    wake = when;
    ++wishes;
  }

  // Lets time pass, firing whenever the queue asked for it.
  void advance(TimerQueue& queue, std::chrono::nanoseconds by) {
    const Nanoseconds until = now + by.count();
    while (wake != 0 && wake <= until) {
      now = std::max(now, wake);
      wake = 0;
      ++wakeups;
      queue.fire();
    }
    now = until;
  }

  Nanoseconds now = 1'234'567'891'234;
  Nanoseconds wake = 0;
  int wishes = 0;
  int wakeups = 0;
};

class TimerQueueTest : public testing::Test {
 protected:
  FakeHost host;
  TimerQueue queue{host};
};

TEST_F(TimerQueueTest, NothingArmedAsksForNoWakeUp) {
  host.advance(queue, 1h);
  EXPECT_EQ(host.wishes, 0);
}

TEST_F(TimerQueueTest, NeverFiresEarlyAndAtMostOneResolutionLate) {
  for (const auto delay : {0ms, 1ms, 2ms, 7ms, 63ms, 64ms, 65ms, 99ms, 100ms, 101ms, 999ms, 4096ms,
                           60'000ms, 300'000ms, 86'400'000ms}) {
    Timer timer;
    Nanoseconds fired = 0;
    const Nanoseconds start = host.now;
    timer.arm(queue, delay, [&] { fired = host.now; });
    host.advance(queue, delay + 20ms);
    ASSERT_NE(fired, 0) << delay.count();
    EXPECT_GE(fired, start + std::chrono::nanoseconds(delay).count());
    const auto slack =
        delay >= TimerQueue::kCoarseFrom ? TimerQueue::kResolution : 2 * TimerQueue::kTick;
    EXPECT_LE(fired, start + std::chrono::nanoseconds(delay + slack).count()) << delay.count();
    host.advance(queue, 12'345'678ns);
  }
}

TEST_F(TimerQueueTest, CancelAndDestructionSilence) {
  int calls = 0;
  Timer cancelled;
  cancelled.arm(queue, 5ms, [&] { ++calls; });
  cancelled.cancel();
  {
    Timer destroyed;
    destroyed.arm(queue, 5ms, [&] { ++calls; });
    EXPECT_EQ(queue.size(), 1U);
  }
  host.advance(queue, 1s);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(queue.size(), 0U);
}

TEST_F(TimerQueueTest, MovingToALaterTimeKeepsTheCallbackAndCostsFewWakeUps) {
  int calls = 0;
  Timer timer;
  timer.arm(queue, 60s, [&] { ++calls; });
  for (int i = 0; i < 1000; ++i) {
    host.advance(queue, 1s);
    timer.rearm(queue, 60s);
  }
  EXPECT_EQ(calls, 0);
  EXPECT_LT(host.wakeups, 200);
  host.advance(queue, 61s);
  EXPECT_EQ(calls, 1);
}

TEST_F(TimerQueueTest, MovingToAnEarlierTime) {
  int calls = 0;
  Timer timer;
  timer.arm(queue, 60s, [&] { ++calls; });
  timer.rearm(queue, 3ms);
  host.advance(queue, 5ms);
  EXPECT_EQ(calls, 1);
}

TEST_F(TimerQueueTest, ATickCanArmItselfAgainAndDestroyOthers) {
  int ticks = 0;
  Timer tick;
  auto victim = std::make_unique<Timer>();
  std::function<void()> again = [&] {
    if (++ticks == 3) victim.reset();
    tick.arm(queue, 1ms, [&] { again(); });
  };
  tick.arm(queue, 1ms, [&] { again(); });
  victim->arm(queue, 50ms, [] { FAIL(); });
  host.advance(queue, 100ms);
  EXPECT_GE(ticks, 45);
  EXPECT_LE(ticks, 100);
}

TEST_F(TimerQueueTest, ATimerMayDestroyItself) {
  auto timer = std::make_unique<Timer>();
  bool fired = false;
  timer->arm(queue, 1ms, [&] {
    timer.reset();
    fired = true;
  });
  host.advance(queue, 10ms);
  EXPECT_TRUE(fired);
}

TEST_F(TimerQueueTest, RandomTimersFireInOrderAndOnTime) {
  std::mt19937 random(7);
  constexpr int kCount = 2000;
  std::vector<std::unique_ptr<Timer>> timers;
  int fired = 0;
  for (int i = 0; i < kCount; ++i) {
    timers.push_back(std::make_unique<Timer>());
    const std::chrono::nanoseconds delay{random() % 20'000 * 1'000'000ULL >> (random() % 12)};
    const Nanoseconds due = host.now + delay.count();
    timers.back()->arm(queue, delay, [&, due] {
      EXPECT_GE(host.now, due);
      EXPECT_LE(host.now, due + 11'000'000);
      ++fired;
    });
    if (i % 3 == 0) host.advance(queue, std::chrono::microseconds(random() % 5000));
  }
  host.advance(queue, 30s);
  EXPECT_EQ(fired, kCount);
}

}  // namespace
}  // namespace heddle::net
