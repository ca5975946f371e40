// The circuit breaker of an upstream, over all workers: opens after failures in a row, then refuses
// every request; after a time it lets a few through on trial, and closes when these succeed.
//
// Any thread. While it is closed and nothing fails a request costs two loads.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "config/config.h"

namespace heddle::gateway {

class Circuit {
 public:
  enum class State : std::uint8_t { kClosed, kOpen, kHalfOpen };
  enum class Verdict : std::uint8_t { kGo, kTrial, kRefused };

  // A request that may go tells its end by succeeded(), failed() or, when neither can be said,
  // abandoned(); `trial` as the verdict was.
  Verdict admit(const config::CircuitBreaker& options, Nanoseconds now);

  // The new state, when this changed it. `chance` from 0 to 1 spreads the end of the open time.
  std::optional<State> succeeded(const config::CircuitBreaker& options, bool trial);
  std::optional<State> failed(const config::CircuitBreaker& options, bool trial, Nanoseconds now,
                              double chance);
  void abandoned(bool trial);

  State state() const { return state_.load(std::memory_order_relaxed); }

 private:
  void open(const config::CircuitBreaker& options, Nanoseconds now, double chance);

  std::atomic<State> state_{State::kClosed};
  std::atomic<std::uint32_t> failures_{0};  // in a row, while closed
  std::mutex mutex_;                        // of what follows, and of changes of state_
  Nanoseconds open_until_ = 0;
  std::uint32_t trials_ = 0;     // under way
  std::uint32_t successes_ = 0;  // of trials in a row
};

}  // namespace heddle::gateway
