#include "messaging/rate_limiter.h"

#include <algorithm>
#include <functional>

namespace heddle::messaging {

RateLimiter::RateLimiter(std::uint32_t rate, std::uint32_t burst) {
  if (rate == 0) return;
  interval_ = 1'000'000'000 / rate;
  tolerance_ = interval_ * std::max<std::uint32_t>(burst, 1);
}

std::chrono::nanoseconds RateLimiter::take(const std::string& key, std::uint32_t count,
                                           Nanoseconds now) {
  if (interval_ == 0) return {};
  Shard& shard = shards_.at(std::hash<std::string>{}(key) % kShards);
  const std::lock_guard lock(shard.mutex);
  if (shard.full_at.size() >= kMaxKeysOfShard) {
    std::erase_if(shard.full_at, [now](const auto& entry) { return entry.second <= now; });
    if (shard.full_at.size() >= kMaxKeysOfShard) shard.full_at.clear();
  }
  Nanoseconds& full_at = shard.full_at[key];
  const Nanoseconds next = std::max(full_at, now) + interval_ * count;
  // More than a whole bucket would never be there: it is given when the bucket is full.
  const Nanoseconds most = now + std::max(tolerance_, interval_ * count);
  if (next > most) return std::chrono::nanoseconds(next - most);
  full_at = next;
  return {};
}

}  // namespace heddle::messaging
