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
  // Of a request that may go.
  struct Pass {
    std::uint32_t half_opening = 0;  // the one that it is a trial of; 0: it is none
  };

  // Nothing: refused. Who has a pass tells the request's end by succeeded(), failed() or, when
  // neither can be said, abandoned(). A trial says nothing about a half-opening after its own.
  std::optional<Pass> admit(const config::CircuitBreaker& options, Nanoseconds now);

  // The new state, when this changed it. `chance` from 0 to 1 spreads the end of the open time.
  std::optional<State> succeeded(const config::CircuitBreaker& options, Pass pass);
  std::optional<State> failed(const config::CircuitBreaker& options, Pass pass, Nanoseconds now,
                              double chance);
  void abandoned(Pass pass);

  State state() const { return state_.load(std::memory_order_relaxed); }

 private:
  bool on_trial(Pass pass) const;  // in the half-opening that is
  void open(const config::CircuitBreaker& options, Nanoseconds now, double chance);

  std::atomic<State> state_{State::kClosed};
  std::atomic<std::uint32_t> failures_{0};  // in a row, while closed
  std::mutex mutex_;                        // of what follows, and of changes of state_
  Nanoseconds open_until_ = 0;
  std::uint32_t half_openings_ = 0;  // how often, up to now
  std::uint32_t trials_ = 0;         // under way, of the last of them
  std::uint32_t successes_ = 0;      // of its trials in a row
};

}  // namespace heddle::gateway
