#include "gateway/upstream_circuit.h"

namespace heddle::gateway {

std::optional<Circuit::Pass> Circuit::admit(const config::CircuitBreaker& options,
                                            Nanoseconds now) {
  if (options.failure_threshold == 0 || state() == State::kClosed) return Pass{};
  const std::lock_guard lock(mutex_);
  if (state() == State::kClosed) return Pass{};
  if (state() == State::kOpen) {
    if (now < open_until_) return std::nullopt;
    state_ = State::kHalfOpen;
    ++half_openings_;
    trials_ = successes_ = 0;
  }
  if (trials_ + successes_ >= options.success_threshold) return std::nullopt;
  ++trials_;
  return Pass{half_openings_};
}

bool Circuit::on_trial(Pass pass) const {
  return state() == State::kHalfOpen && pass.half_opening == half_openings_;
}

std::optional<Circuit::State> Circuit::succeeded(const config::CircuitBreaker& options, Pass pass) {
  if (pass.half_opening == 0) {
    if (failures_.load(std::memory_order_relaxed) != 0) {
      failures_.store(0, std::memory_order_relaxed);
    }
    return std::nullopt;
  }
  const std::lock_guard lock(mutex_);
  if (!on_trial(pass)) return std::nullopt;
  --trials_;
  if (++successes_ < options.success_threshold) return std::nullopt;
  failures_ = 0;
  state_ = State::kClosed;
  return State::kClosed;
}

std::optional<Circuit::State> Circuit::failed(const config::CircuitBreaker& options, Pass pass,
                                              Nanoseconds now, double chance) {
  if (options.failure_threshold == 0) return std::nullopt;
  if (pass.half_opening == 0) {
    if (failures_.fetch_add(1) + 1 < options.failure_threshold) return std::nullopt;
    const std::lock_guard lock(mutex_);
    if (state() != State::kClosed) return std::nullopt;
    open(options, now, chance);
    return State::kOpen;
  }
  const std::lock_guard lock(mutex_);
  if (!on_trial(pass)) return std::nullopt;
  open(options, now, chance);
  return State::kOpen;
}

void Circuit::abandoned(Pass pass) {
  if (pass.half_opening == 0) return;
  const std::lock_guard lock(mutex_);
  if (on_trial(pass)) --trials_;
}

void Circuit::open(const config::CircuitBreaker& options, Nanoseconds now, double chance) {
  const auto time = static_cast<double>(to_nanoseconds(options.timeout));
  open_until_ = now + static_cast<Nanoseconds>(time * (0.75 + chance / 2));
  failures_ = 0;
  state_ = State::kOpen;
}

}  // namespace heddle::gateway
