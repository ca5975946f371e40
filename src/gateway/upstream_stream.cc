#include "gateway/upstream_stream.h"

#include <utility>

#include "gateway/origin_upstream.h"

namespace heddle::gateway {

using http::StreamError;
using Outcome = UpstreamState::Outcome;

UpstreamStream::UpstreamStream(UpstreamOrigin& origin) : origin_(origin) {}

UpstreamStream::~UpstreamStream() {
  origin_.worker().forget_flush(*this);
}

void UpstreamStream::start(extension::ExchangeInfo& info, http::Receiver& receiver) {
  info_ = &info;
  receiver_ = &receiver;
  attempt_ = nullptr;
  keeps_ = head_given_ = head_ended_ = ended_ = false;
  tried_count_ = failovers_ = 0;
  tries_ = retries_ = 0;
  pauses_ = 0;
  answered_ = retry_due_ = said_full_ = false;
  error_detail_.clear();
}

void UpstreamStream::describe(extension::ExchangeInfo& info) const {
  if (attempt_ == nullptr) return;
  const http::UpstreamInfo& upstream = attempt_->upstream();
  if (upstream.remote_address.empty()) return;
  info.upstream_address = upstream.remote_address;
  info.upstream_local_address = upstream.local_address;
  info.upstream_tls = upstream.tls;
}

// ---- the request

void UpstreamStream::send_head(const http::HeaderMap& headers, bool end) {
  if (receiver_ == nullptr || std::exchange(head_given_, true)) return;
  head_ended_ = ended_ = end;
  origin_.refresh();
  const Admission admission = admit();
  if (admission == Admission::kRefused) return;
  if (admission == Admission::kWait || origin_.retry().max_retries() > 0 ||
      origin_.balancer().size() > 1) {
    keep(headers);
  }
  if (admission == Admission::kGo) try_endpoint(headers, end);
}

UpstreamStream::Admission UpstreamStream::admit() {
  const config::CircuitBreaker& options = origin_.config().circuit_breaker;
  UpstreamState& state = origin_.state();
  if (options.failure_threshold > 0) {
    circuit_pass_ = state.circuit().admit(options, origin_.worker().now());
    if (!circuit_pass_) {
      state.counters().circuit_refused->add();
      fail_soon(StreamError::kOverflow, "the circuit breaker is open");
      return Admission::kRefused;
    }
  }
  if (options.max_requests == 0) return Admission::kGo;
  const auto verdict =
      state.limiter().enter(options.max_requests, options.max_pending_requests, [this] {
        waiter_ = std::make_shared<RequestLimiter::Waiter>(origin_.worker(), [this] { granted(); });
        return waiter_;
      });
  if (verdict == RequestLimiter::Verdict::kGo) {
    has_place_ = true;
    return Admission::kGo;
  }
  if (verdict == RequestLimiter::Verdict::kWait) {
    state.counters().pending->add(1);
    return Admission::kWait;
  }
  state.counters().overflows->add();
  fail_soon(StreamError::kOverflow, "circuit_breaker.max_requests (" +
                                        std::to_string(options.max_requests) +
                                        ") are under way and max_pending_requests (" +
                                        std::to_string(options.max_pending_requests) + ") wait");
  return Admission::kRefused;
}

void UpstreamStream::granted() {
  waiter_.reset();
  has_place_ = true;
  origin_.state().counters().pending->add(-1);
  try_again();
}

void UpstreamStream::try_endpoint(const http::HeaderMap& headers, bool end) {
  const std::string_view source =
      info_->connection != nullptr ? std::string_view(info_->connection->remote_ip) : "";
  const std::uint64_t hash =
      origin_.balancer().hashes() ? origin_.hash_key().of(headers, source) : 0;
  entry_ = origin_.pick(hash, tried());
  if (entry_ == nullptr) {
    fail_soon(StreamError::kUnavailable, "no endpoint is usable");
    return;
  }
  endpoints_ = &origin_.hold();
  EndpointState& endpoint = *entry_->state;
  if (tried_count_ < kRemembered) tried_[tried_count_++] = &endpoint;
  info_->upstream_attempts = static_cast<int>(++tries_);
  info_->upstream_address = endpoint.address();
  endpoint.active->add(1);
  loads_ = origin_.balancer().compares();
  if (loads_) endpoint.load.requests.fetch_add(1, std::memory_order_relaxed);
  attempt_ = &origin_.pool().open(info_->http2_upstream ? entry_->http2_target : entry_->target,
                                  origin_.limits(), *this);
  for (int i = 0; i < pauses_; ++i) attempt_->pause_receiving();
  if (const auto limit = origin_.retry().per_try_timeout(); limit.count() > 0) {
    timer_.arm(origin_.worker().timers(), limit, [this] {
      const net::Worker::Scope scope(origin_.worker());
      on_try_timeout();
    });
  }
  attempt_->send_head(headers, end);
}

void UpstreamStream::try_again() {
  try_endpoint(head_->headers, head_ended_);
  if (attempt_ == nullptr) return;
  const bool with_trailers = trailers_ != nullptr;
  if (!head_ended_ && (!body_.empty() || (ended_ && !with_trailers))) {
    http::Buffer copy;
    for (const http::Slice& slice : body_.slices()) copy.append(slice);
    attempt_->send_data(std::move(copy), ended_ && !with_trailers);
  }
  if (with_trailers) attempt_->send_trailers(trailers_->headers);
  if (body_.size() > origin_.retry().max_body()) drop_kept();
  if (said_full_ && !attempt_->above_watermark()) on_writable();
}

void UpstreamStream::keep(const http::HeaderMap& headers) {
  keeps_ = true;
  head_ = http::make_head();
  for (const auto& [name, value] : headers) {
    head_->headers.add_view(head_->arena.copy(name), head_->arena.copy(value));
  }
}

void UpstreamStream::keep_data(const http::Buffer& data) {
  if (body_.size() + data.size() > origin_.retry().max_body()) {
    drop_kept();
    return;
  }
  for (const http::Slice& slice : data.slices()) body_.append(slice);
}

void UpstreamStream::drop_kept() {
  keeps_ = false;
  head_.reset();
  body_.clear();
  trailers_.reset();
}

void UpstreamStream::send_data(http::Buffer&& data, bool end) {
  if (receiver_ == nullptr || !head_given_) return;
  ended_ = ended_ || end;
  if (attempt_ != nullptr) {
    if (keeps_) keep_data(data);
    attempt_->send_data(std::move(data), end);
  } else if (keeps_) {
    body_.append(std::move(data));
  }
}

void UpstreamStream::send_trailers(const http::HeaderMap& trailers) {
  if (receiver_ == nullptr || !head_given_) return;
  ended_ = true;
  if (keeps_) {
    trailers_ = http::make_head();
    for (const auto& [name, value] : trailers) trailers_->headers.add(name, value);
  }
  if (attempt_ != nullptr) attempt_->send_trailers(trailers);
}

void UpstreamStream::reset(StreamError error) {
  if (receiver_ == nullptr) return;
  receiver_ = nullptr;
  const bool too_slow = error == StreamError::kTimeout && !answered_;
  if (attempt_ != nullptr) {
    std::exchange(attempt_, nullptr)->reset(error);
    if (too_slow) {
      end_try(Outcome::kFailed);
    } else {
      end_try();
    }
  }
  if (too_slow) leave_circuit(false);
  finish();
}

void UpstreamStream::pause_receiving() {
  ++pauses_;
  if (attempt_ != nullptr) attempt_->pause_receiving();
}

void UpstreamStream::resume_receiving() {
  if (pauses_ > 0) --pauses_;
  if (attempt_ != nullptr) attempt_->resume_receiving();
}

bool UpstreamStream::above_watermark() const {
  const bool full = attempt_ != nullptr ? attempt_->above_watermark() : body_.size() > kWaitingBody;
  said_full_ = said_full_ || full;
  return full;
}

std::uint64_t UpstreamStream::bytes_sent() const {
  return attempt_ != nullptr ? attempt_->bytes_sent() : 0;
}

std::uint64_t UpstreamStream::bytes_received() const {
  return attempt_ != nullptr ? attempt_->bytes_received() : 0;
}

// ---- the answer. The receiver may end the request in each of its events, and what owns it may go
// with it: nothing is touched afterwards.

void UpstreamStream::on_informational(http::HeadPtr head) {
  receiver_->on_informational(std::move(head));
}

void UpstreamStream::on_head(http::HeadPtr head, bool end) {
  const bool failed = head->status() >= 500;
  const Outcome outcome = failed ? Outcome::kFailed : Outcome::kAnswered;
  if (keeps_ && origin_.retry().is_retryable(*head, end) && retry(Reason::kStatus)) {
    attempt_->reset(StreamError::kCancelled);
    end_try(outcome);
    wait_to_retry();
    return;
  }
  answered_ = true;
  timer_.cancel();
  if (keeps_) drop_kept();
  if (std::exchange(retrying_, false)) origin_.state().retry_ended();
  origin_.state().report(entry_->state, outcome, origin_.config().ejection);
  leave_circuit(!failed);
  receiver_->on_head(std::move(head), end);
}

void UpstreamStream::on_data(http::Buffer& data, bool end) {
  receiver_->on_data(data, end);
}

void UpstreamStream::on_trailers(http::HeadPtr trailers) {
  receiver_->on_trailers(std::move(trailers));
}

void UpstreamStream::on_reset(StreamError error, std::string_view detail) {
  const bool no_connection =
      error == StreamError::kRefused || error == StreamError::kConnectTimeout;
  const bool ours = error == StreamError::kOverflow || error == StreamError::kCancelled;
  const Reason reason =
      no_connection || error == StreamError::kOverflow ? Reason::kConnectFailure : Reason::kReset;
  const bool again = !answered_ && error != StreamError::kCancelled && retry(reason);
  if (ours) {
    end_try();
  } else {
    end_try(no_connection ? Outcome::kNoConnection : Outcome::kFailed);
  }
  if (again) {
    wait_to_retry();
  } else {
    fail(error, detail);  // the try can still be described
  }
}

void UpstreamStream::on_writable() {
  said_full_ = false;
  receiver_->on_writable();
}

void UpstreamStream::on_complete() {
  end_try();
  http::Receiver& gone = *std::exchange(receiver_, nullptr);
  finish();
  gone.on_complete();
}

// ---- tries

void UpstreamStream::end_try() {
  timer_.cancel();
  EndpointState& endpoint = *entry_->state;
  endpoint.active->add(-1);
  if (loads_) endpoint.load.requests.fetch_sub(1, std::memory_order_relaxed);
  entry_ = nullptr;
  origin_.let_go(*std::exchange(endpoints_, nullptr));
}

void UpstreamStream::end_try(Outcome outcome) {
  origin_.state().report(entry_->state, outcome, origin_.config().ejection);
  end_try();
}

bool UpstreamStream::retry(Reason reason) {
  UpstreamState& state = origin_.state();
  if (std::exchange(retrying_, false)) state.retry_ended();
  if (!keeps_) return false;
  origin_.refresh();
  // Nothing of the request was sent, so another endpoint may have it at once.
  if (reason == Reason::kConnectFailure && failovers_ < kMaxFailovers &&
      origin_.balancer().has_other(tried())) {
    ++failovers_;
    state.counters().failovers->add();
    retry_pause_ = std::chrono::nanoseconds(0);
    return true;
  }
  const RetryPolicy& policy = origin_.retry();
  if (policy.max_retries() == 0 || !policy.allows(reason, head_->headers)) return false;
  if (retries_ >= policy.max_retries() || !state.begin_retry(origin_.config())) {
    info_->upstream_retries_exhausted = true;
    return false;
  }
  retrying_ = true;
  ++retries_;
  state.counters().retries->add();
  retry_pause_ = policy.pause(retries_, origin_.chance());
  return true;
}

void UpstreamStream::wait_to_retry() {
  attempt_ = nullptr;
  retry_due_ = true;
  if (retry_pause_.count() == 0) {
    origin_.worker().queue_flush(*this);
    return;
  }
  timer_.arm(origin_.worker().timers(), retry_pause_, [this] {
    const net::Worker::Scope scope(origin_.worker());
    flush();
  });
}

void UpstreamStream::on_try_timeout() {
  const bool again = retry(Reason::kReset);
  std::exchange(attempt_, nullptr)->reset(StreamError::kCancelled);
  end_try(Outcome::kFailed);
  if (again) {
    wait_to_retry();
  } else {
    fail(StreamError::kTimeout, "no answer within retry.per_try_timeout");
  }
}

void UpstreamStream::fail_soon(StreamError error, std::string detail) {
  error_ = error;
  error_detail_ = std::move(detail);
  origin_.worker().queue_flush(*this);
}

void UpstreamStream::flush() {
  if (receiver_ == nullptr) return;
  if (!error_detail_.empty()) {
    const std::string detail = std::move(error_detail_);
    fail(error_, detail);
  } else if (std::exchange(retry_due_, false)) {
    try_again();
  }
}

void UpstreamStream::fail(StreamError error, std::string_view detail) {
  if (error != StreamError::kOverflow) leave_circuit(false);
  http::Receiver& gone = *std::exchange(receiver_, nullptr);
  finish();
  gone.on_reset(error, detail);
}

void UpstreamStream::leave_circuit(bool success) {
  const auto pass = std::exchange(circuit_pass_, std::nullopt);
  if (!pass) return;
  UpstreamState& state = origin_.state();
  const config::CircuitBreaker& options = origin_.config().circuit_breaker;
  const auto changed =
      success ? state.circuit().succeeded(options, *pass)
              : state.circuit().failed(options, *pass, origin_.worker().now(), origin_.chance());
  if (changed) state.note_circuit(*changed);
}

void UpstreamStream::finish() {
  UpstreamState& state = origin_.state();
  timer_.cancel();
  origin_.worker().forget_flush(*this);
  if (keeps_) drop_kept();
  if (const auto pass = std::exchange(circuit_pass_, std::nullopt))
    state.circuit().abandoned(*pass);
  if (std::exchange(retrying_, false)) state.retry_ended();
  if (waiter_ != nullptr) {
    state.limiter().leave(std::exchange(waiter_, nullptr));
    state.counters().pending->add(-1);
  }
  if (std::exchange(has_place_, false)) state.limiter().release();
  origin_.recycle(*this);
}

}  // namespace heddle::gateway
