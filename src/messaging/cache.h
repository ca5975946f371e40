// What the storage said lately and what does not change behind our back: accounts and channels for
// ever, sessions until they end here or, with other servers on the same database, for a while.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/clock.h"

namespace heddle::messaging {

// By key, at most `limit` entries; a full cache starts over. Any thread.
template <typename Value>
class Cache {
 public:
  // `lifetime` 0: no end.
  explicit Cache(std::size_t limit, std::chrono::nanoseconds lifetime = {})
      : limit_(limit), lifetime_(lifetime) {}

  std::optional<Value> find(const std::string& key, Nanoseconds now) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    if (lifetime_.count() > 0 && found->second.second + lifetime_.count() < now) {
      entries_.erase(found);
      return std::nullopt;
    }
    return found->second.first;
  }
  // What was read; does not overwrite what replace() knows better.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): it is moved
  void keep(const std::string& key, Value value, Nanoseconds now) {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= limit_) entries_.clear();
    entries_.try_emplace(key, std::move(value), now);
  }
  void replace(const std::string& key, Value value, Nanoseconds now) {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= limit_) entries_.clear();
    entries_.insert_or_assign(key, std::pair(std::move(value), now));
  }

 private:
  const std::size_t limit_;
  const std::chrono::nanoseconds lifetime_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::pair<Value, Nanoseconds>> entries_;
};

}  // namespace heddle::messaging
