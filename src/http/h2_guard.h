// Limits on what costs this side more than the peer: HTTP/2's settings for one listener or
// upstream, and a bucket that counts events against time. Private to this folder.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace heddle::http {

// Lets `rate` events a second pass, and bursts of five seconds' worth. 0 lets everything pass.
class EventBucket {
 public:
  explicit EventBucket(std::uint32_t rate) : rate_(rate), tokens_(kBurst * rate) {}

  // False: too many.
  bool take(Nanoseconds now) {
    if (rate_ == 0) return true;
    if (tokens_ < 1.0) refill(now);
    if (tokens_ < 1.0) return false;
    tokens_ -= 1.0;
    return true;
  }
  // Something useful happened as well, worth so many events.
  void give(int events = 1) { tokens_ = std::min(tokens_ + events, kBurst * rate_); }

 private:
  static constexpr double kBurst = 5.0;

  void refill(Nanoseconds now) {
    const double seconds = static_cast<double>(now - last_) / 1e9;
    tokens_ = std::min(tokens_ + seconds * rate_, kBurst * rate_);
    last_ = now;
  }

  std::uint32_t rate_;
  double tokens_;
  Nanoseconds last_ = 0;
};

}  // namespace heddle::http
