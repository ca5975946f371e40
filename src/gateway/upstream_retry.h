// When a request may be sent again, and after which pause: the `retry` section of an upstream,
// prepared for use on the request path.
#pragma once

#include <bitset>
#include <chrono>
#include <cstdint>

#include "config/config.h"
#include "http/header_map.h"
#include "http/message.h"

namespace heddle::gateway {

class RetryPolicy {
 public:
  enum class Reason : std::uint8_t { kConnectFailure, kReset, kStatus };

  explicit RetryPolicy(const config::Retry& options);

  std::uint32_t max_retries() const { return max_retries_; }
  std::size_t max_body() const { return max_body_; }
  std::chrono::nanoseconds per_try_timeout() const { return per_try_timeout_; }

  // Whether a failure of this kind allows another try of a request with this head.
  bool allows(Reason reason, const http::HeaderMap& request) const;
  // Whether this answer is one to try again. `end`: it has no body.
  bool is_retryable(const http::Head& response, bool end) const;

  // The pause before retry `number` (from 1): a random part of a span that doubles each time.
  // `chance` from 0 to 1.
  std::chrono::nanoseconds pause(std::uint32_t number, double chance) const;

 private:
  std::uint32_t max_retries_;
  std::size_t max_body_;
  std::chrono::nanoseconds per_try_timeout_;
  std::chrono::nanoseconds backoff_base_;
  std::chrono::nanoseconds backoff_max_;
  bool non_idempotent_;
  std::bitset<3> reasons_;
  std::bitset<600> statuses_;
  std::bitset<17> grpc_codes_;
};

// Whether a status is one of "503", "200-299", …, as the configuration has checked them.
bool matches_status(const std::vector<std::string>& ranges, int status);

}  // namespace heddle::gateway
