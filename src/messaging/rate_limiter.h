// Token buckets by key (an account, an address), for all workers together. Bounded: when there are
// too many keys, those that are full again are forgotten first. Any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace heddle::messaging {

class RateLimiter {
 public:
  // `rate` a second, `burst` at once. A rate of 0 limits nothing.
  RateLimiter(std::uint32_t rate, std::uint32_t burst);

  // Takes `count`; 0 when they were there, else how long until they are.
  std::chrono::nanoseconds take(const std::string& key, std::uint32_t count, Nanoseconds now);

 private:
  static constexpr std::size_t kShards = 16;
  static constexpr std::size_t kMaxKeysOfShard = 16'384;
  struct Shard {
    std::mutex mutex;
    // When the bucket is full again (the generic cell rate algorithm).
    std::unordered_map<std::string, Nanoseconds> full_at;
  };

  Nanoseconds interval_ = 0;
  Nanoseconds tolerance_ = 0;
  std::array<Shard, kShards> shards_;
};

}  // namespace heddle::messaging
