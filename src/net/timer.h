// Coarse timers: idle, head, body, route and tick timeouts. Setting and cancelling one is a few
// list operations; the event loop waits for the next of them. Resolution is
// TimerQueue::kResolution; a timer never fires early.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "base/clock.h"

namespace heddle::net {

class TimerQueue;

// One pending call. Destroying it cancels. Not movable while armed: queues link it in place.
class Timer {
 public:
  Timer() = default;
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Calls `callback` after `delay`; arming again replaces. Worker thread only.
  void arm(TimerQueue& queue, std::chrono::nanoseconds delay,
           std::move_only_function<void()> callback);
  // Moves the time of an armed timer, keeping its callback (cheap: what an idle timeout does for
  // every request).
  void rearm(TimerQueue& queue, std::chrono::nanoseconds delay);
  void cancel();
  bool armed() const { return queue_ != nullptr; }

 private:
  friend class TimerQueue;
  TimerQueue* queue_ = nullptr;
  Timer* previous_ = nullptr;
  Timer* next_ = nullptr;
  Nanoseconds deadline_ = 0;
  std::uint64_t linked_tick_ =
      0;  // where the wheel holds it; `deadline_` may have moved to a later one
  std::uint16_t slot_ = 0;
  std::move_only_function<void()> callback_;
};

}  // namespace heddle::net
