// The native filter `rate_limit`: a token bucket for each client, header value or route.
//
// A bucket is one number, the time at which it will be full again, so all workers share it without
// a lock (the generic cell rate algorithm, ITU-T I.371). The table has a fixed size: a bucket that
// is full again says nothing and its place is taken first, then that of the fullest.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "config/config.h"
#include "extension/http_filter.h"

namespace heddle::gateway {

// How fast a bucket fills, and how much it holds.
struct RateLimitRule {
  Nanoseconds interval = 0;  // between two tokens
  Nanoseconds capacity = 0;  // `burst` intervals
  static RateLimitRule of(const config::RateLimit& settings);
};

// Any thread.
class RateLimitTable {
 public:
  struct Decision {
    bool allowed = false;
    std::uint32_t remaining = 0;  // tokens left
    Nanoseconds retry_after = 0;  // until there is one again
    Nanoseconds reset = 0;        // until the bucket is full
    bool evicted = false;         // a bucket that was not full made room
  };

  explicit RateLimitTable(std::size_t max_keys);

  // Takes one token from the bucket of `key`.
  Decision take(std::string_view key, const RateLimitRule& rule, Nanoseconds now);
  std::size_t capacity() const { return slots_.size(); }

 private:
  static constexpr std::size_t kWays = 8;  // places that a key may have
  struct Slot {
    std::atomic<std::uint64_t> key{0};  // hash; 0: free
    std::atomic<Nanoseconds> full_at{0};
  };

  std::uint64_t hash(std::string_view key) const;
  Slot& place(std::uint64_t key, Nanoseconds now, bool& evicted);
  static Decision charge(Slot& slot, const RateLimitRule& rule, Nanoseconds now);

  std::vector<unsigned char> secret_;  // of the hash: nobody can choose keys that meet
  std::vector<Slot> slots_;
};

// What is counted for an address: an IPv4 address, or the /64 network of an IPv6 address.
std::string client_key(std::string_view remote_ip);

std::shared_ptr<extension::HttpFilterFactory> make_rate_limit_filter(
    const config::RateLimit& settings, const std::string& route,
    std::shared_ptr<RateLimitTable> table, metrics::Registry& metrics);

}  // namespace heddle::gateway
