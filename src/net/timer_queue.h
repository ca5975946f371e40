// The timers of one worker: a hierarchical wheel of 1 ms ticks, 64 slots a level. Arming, moving
// and cancelling cost a few list operations whatever the number of timers; moving one to a later
// time costs one store, because a timer found in a slot before its deadline is just linked again.
//
// Worker thread only. Time and the wake-up come from a Host, so tests run it with a clock of their
// own.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "net/timer.h"

namespace heddle::net {

class TimerQueue {
 public:
  // Delays from kCoarseFrom on are rounded up to kResolution, so that many time-outs share a
  // wake-up; shorter ones (plugin ticks) to kTick.
  static constexpr std::chrono::milliseconds kResolution{10};
  static constexpr std::chrono::milliseconds kTick{1};
  static constexpr std::chrono::milliseconds kCoarseFrom{100};

  class Host {
   public:
    virtual ~Host() = default;
    virtual Nanoseconds precise_now() const = 0;
    virtual Nanoseconds event_now() const = 0;  // when the current event began; cheaper
    // Calls fire() at `when`; replaces an earlier wish. Not called while nothing is armed.
    virtual void wake_at(Nanoseconds when) = 0;
  };

  explicit TimerQueue(Host& host) : host_(host) {}
  ~TimerQueue();  // timers still armed are disarmed
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  // Runs everything due, then asks for the next wake-up.
  void fire();
  std::size_t size() const { return size_; }

 private:
  friend class Timer;
  static constexpr int kLevels = 6;  // 64^6 ms: two years
  static constexpr int kSlotBits = 6;
  static constexpr std::uint64_t kSlots = 1U << kSlotBits;
  static constexpr std::uint64_t kMaxTicks = std::uint64_t{1} << (kLevels * kSlotBits - 1);
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  struct Expiration {
    std::uint64_t tick = kNever;
    int level = 0;
    std::uint64_t slot = 0;
  };

  void arm(Timer& timer, Nanoseconds delay);
  void rearm(Timer& timer, Nanoseconds delay);
  void link(Timer& timer, std::uint64_t tick);
  void unlink(Timer& timer);
  Expiration next_expiration() const;
  void expire_slot(const Expiration& expiration);
  void schedule();

  Host& host_;
  std::array<Timer*, kLevels * kSlots> slots_{};
  std::array<std::uint64_t, kLevels> occupied_{};
  std::uint64_t elapsed_ = 0;  // the tick up to which everything was run
  std::uint64_t wake_tick_ = kNever;
  std::size_t size_ = 0;
  bool firing_ = false;
};

}  // namespace heddle::net
