#include "gateway/tcp_upstream.h"

#include <fmt/format.h>

#include <utility>

#include "gateway/origin_upstream.h"

namespace heddle::gateway {

using Outcome = UpstreamState::Outcome;

TcpUpstream::Admission TcpUpstream::enter(UpstreamOrigin& origin, std::function<void()> granted) {
  state_ = origin.state().shared_from_this();
  state_->counters().active->add(1);
  const config::CircuitBreaker& options = origin.config().circuit_breaker;
  if (options.failure_threshold > 0) {
    circuit_pass_ = state_->circuit().admit(options, origin.worker().now());
    if (!circuit_pass_) {
      state_->counters().circuit_refused->add();
      refusal_ = "the circuit breaker is open";
      return Admission::kRefused;
    }
  }
  if (options.max_requests == 0) return Admission::kGo;
  const auto verdict =
      state_->limiter().enter(options.max_requests, options.max_pending_requests, [&] {
        waiter_ = std::make_shared<RequestLimiter::Waiter>(origin.worker(),
                                                           [this, granted = std::move(granted)] {
                                                             waiter_.reset();
                                                             has_place_ = true;
                                                             state_->counters().pending->add(-1);
                                                             granted();
                                                           });
        return waiter_;
      });
  if (verdict == RequestLimiter::Verdict::kWait) {
    state_->counters().pending->add(1);
    return Admission::kWait;
  }
  if (verdict == RequestLimiter::Verdict::kGo) {
    has_place_ = true;
    return Admission::kGo;
  }
  state_->counters().overflows->add();
  refusal_ = fmt::format(
      "circuit_breaker.max_requests ({}) are under way and max_pending_requests ({}) wait",
      options.max_requests, options.max_pending_requests);
  return Admission::kRefused;
}

const EndpointEntry* TcpUpstream::next(UpstreamOrigin& origin, std::string_view source) {
  origin.refresh();
  if (!tried_.empty()) {
    if (!origin.balancer().has_other(tried_)) return nullptr;
    state_->counters().failovers->add();
  }
  // A hash of a header or cookie has none here: any endpoint is right.
  const std::uint64_t hash =
      origin.balancer().hashes() ? origin.hash_key().of(http::make_head()->headers, source) : 0;
  const EndpointEntry* entry = origin.pick(hash, tried_);
  if (entry == nullptr) return nullptr;
  endpoint_ = entry->state;
  tried_.push_back(endpoint_.get());
  endpoint_->active->add(1);
  endpoint_->load.requests.fetch_add(1, std::memory_order_relaxed);
  return entry;
}

void TcpUpstream::connected(UpstreamOrigin& origin) {
  state_->report(endpoint_, Outcome::kAnswered, origin.config().ejection);
  leave_circuit(origin, true);
}

void TcpUpstream::failed(UpstreamOrigin& origin) {
  state_->report(endpoint_, Outcome::kNoConnection, origin.config().ejection);
  leave_endpoint();
}

void TcpUpstream::gave_up(UpstreamOrigin& origin) {
  leave_circuit(origin, false);
}

void TcpUpstream::leave() {
  leave_endpoint();
  if (state_ == nullptr) return;
  if (const auto pass = std::exchange(circuit_pass_, std::nullopt))
    state_->circuit().abandoned(*pass);
  if (waiter_ != nullptr) {
    state_->limiter().leave(std::exchange(waiter_, nullptr));
    state_->counters().pending->add(-1);
  }
  if (std::exchange(has_place_, false)) state_->limiter().release();
  state_->counters().active->add(-1);
  state_.reset();
}

void TcpUpstream::leave_circuit(UpstreamOrigin& origin, bool success) {
  const auto pass = std::exchange(circuit_pass_, std::nullopt);
  if (!pass) return;
  const config::CircuitBreaker& options = origin.config().circuit_breaker;
  const auto changed =
      success ? state_->circuit().succeeded(options, *pass)
              : state_->circuit().failed(options, *pass, origin.worker().now(), origin.chance());
  if (changed) state_->note_circuit(*changed);
}

void TcpUpstream::leave_endpoint() {
  if (endpoint_ == nullptr) return;
  endpoint_->active->add(-1);
  endpoint_->load.requests.fetch_sub(1, std::memory_order_relaxed);
  endpoint_.reset();
}

}  // namespace heddle::gateway
