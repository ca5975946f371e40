// One request of an exchange to an upstream, over as many tries as it takes: chooses an endpoint,
// opens a stream of the client pool, and on a failure that allows it sends the request again,
// elsewhere if it can. What it may need again of the request it keeps; what comes back it passes on
// untouched.
//
//   send_head: circuit breaker, limit of requests (perhaps a wait) -> try: endpoint, pool ->
//   failed before the answer -> pause -> try again …          answered -> everything passes through
//
// Recycled by its origin; worker thread only.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "extension/exchange_info.h"
#include "gateway/upstream_endpoint.h"
#include "gateway/upstream_limiter.h"
#include "gateway/upstream_retry.h"
#include "gateway/upstream_state.h"
#include "http/client.h"
#include "net/timer.h"
#include "net/worker.h"

namespace heddle::gateway {

class UpstreamOrigin;
struct EndpointsInUse;

class UpstreamStream final : public http::Sender,
                             public http::Receiver,
                             public net::Worker::Flushable {
 public:
  explicit UpstreamStream(UpstreamOrigin& origin);
  ~UpstreamStream() override;
  UpstreamStream(const UpstreamStream&) = delete;
  UpstreamStream& operator=(const UpstreamStream&) = delete;

  // `info` and `receiver` outlive the request.
  void start(extension::ExchangeInfo& info, http::Receiver& receiver);
  void describe(extension::ExchangeInfo& info) const;
  // Of the try under way, as configured; empty: there is none.
  std::string_view endpoint() const {
    return entry_ != nullptr ? std::string_view(entry_->host) : std::string_view();
  }

  // http::Sender
  void send_informational(const http::HeaderMap&) override {}
  void send_head(const http::HeaderMap& headers, bool end) override;
  void send_data(http::Buffer&& data, bool end) override;
  void send_trailers(const http::HeaderMap& trailers) override;
  void reset(http::StreamError error) override;
  void pause_receiving() override;
  void resume_receiving() override;
  bool above_watermark() const override;
  std::uint64_t bytes_sent() const override;
  std::uint64_t bytes_received() const override;

  // http::Receiver of the try under way
  void on_informational(http::HeadPtr head) override;
  void on_head(http::HeadPtr head, bool end) override;
  void on_data(http::Buffer& data, bool end) override;
  void on_trailers(http::HeadPtr trailers) override;
  void on_reset(http::StreamError error, std::string_view detail) override;
  void on_writable() override;
  void on_complete() override;

  // net::Worker::Flushable: what was found within a call of the owner is told.
  void flush() override;

 private:
  using Reason = RetryPolicy::Reason;
  // A body beyond this waits with the client while no try is under way.
  static constexpr std::size_t kWaitingBody = std::size_t{64} << 10U;
  static constexpr std::size_t kMaxFailovers = 3;
  static constexpr std::size_t kRemembered = 8;  // endpoints tried

  enum class Admission : std::uint8_t { kGo, kWait, kRefused };
  Admission admit();
  void granted();
  void try_endpoint(const http::HeaderMap& headers, bool end);
  void try_again();
  void keep(const http::HeaderMap& headers);
  void keep_data(const http::Buffer& data);
  void drop_kept();

  // The try is over; nothing is known of the endpoint, or this.
  void end_try();
  void end_try(UpstreamState::Outcome outcome);
  // Whether another try may follow; it does when wait_to_retry() is called after the end of this.
  bool retry(Reason reason);
  void wait_to_retry();
  void on_try_timeout();
  std::span<const EndpointState* const> tried() const { return {tried_.data(), tried_count_}; }

  void fail_soon(http::StreamError error, std::string detail);
  void fail(http::StreamError error, std::string_view detail);
  void leave_circuit(bool success);
  void finish();

  UpstreamOrigin& origin_;
  extension::ExchangeInfo* info_ = nullptr;
  http::Receiver* receiver_ = nullptr;  // null: free
  http::ClientStream* attempt_ = nullptr;
  EndpointsInUse* endpoints_ = nullptr;  // of the try under way
  const EndpointEntry* entry_ = nullptr;
  net::Timer timer_;  // of the try, or of the pause before the next
  std::shared_ptr<RequestLimiter::Waiter> waiter_;

  // The request as it was given so far.
  http::HeadPtr head_;
  http::Buffer body_;
  http::HeadPtr trailers_;
  bool keeps_ = false;  // these hold all of it
  bool head_given_ = false;
  bool head_ended_ = false;  // there is no body
  bool ended_ = false;

  std::array<const EndpointState*, kRemembered> tried_{};  // to compare with, perhaps gone
  std::size_t tried_count_ = 0;
  std::uint32_t tries_ = 0;
  std::uint32_t retries_ = 0;
  std::size_t failovers_ = 0;
  std::chrono::nanoseconds retry_pause_{0};
  int pauses_ = 0;
  bool answered_ = false;
  bool retry_due_ = false;          // with the next flush
  bool retrying_ = false;           // counts in the budget
  bool has_place_ = false;          // of the limiter
  bool loads_ = false;              // counts in the endpoint's load
  mutable bool said_full_ = false;  // above_watermark() was true: on_writable() must come
  std::optional<Circuit::Pass> circuit_pass_;  // it owes the circuit breaker a result
  http::StreamError error_ = http::StreamError::kClosed;
  std::string error_detail_;  // not empty: fail_soon() was called
};

}  // namespace heddle::gateway
