// Which client_message_ids are on their way into the store now: a retry waits for the request that
// it repeats, in this process. Another server's is found out by the storage.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "messaging/bell.h"
#include "messaging/task.h"

namespace heddle::messaging {

// Any thread.
class Repeats {
 public:
  // A request has its key to itself as long as this lives.
  class Turn {
   public:
    Turn(Repeats& repeats, std::string key) : repeats_(&repeats), key_(std::move(key)) {}
    Turn(Turn&& other) noexcept
        : repeats_(std::exchange(other.repeats_, nullptr)), key_(std::move(other.key_)) {}
    Turn& operator=(Turn&&) = delete;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (repeats_ != nullptr) repeats_->end(key_);
    }

   private:
    Repeats* repeats_;
    std::string key_;
  };

  Task<Turn> begin(net::Worker& worker, std::string key) {
    constexpr std::chrono::seconds kLook{1};
    const auto bell = std::make_shared<Bell>(worker);
    while (!take(key, bell)) co_await bell->wait(kLook);
    co_return Turn(*this, std::move(key));
  }

 private:
  bool take(const std::string& key, const std::shared_ptr<Bell>& bell) {
    const std::lock_guard lock(mutex_);
    const auto [found, mine] = under_way_.try_emplace(key);
    if (!mine) found->second.push_back(bell);
    return mine;
  }
  void end(const std::string& key) {
    std::vector<std::shared_ptr<Bell>> waiting;
    {
      const std::lock_guard lock(mutex_);
      const auto found = under_way_.find(key);
      waiting = std::move(found->second);
      under_way_.erase(found);
    }
    for (const auto& bell : waiting) {
      bell->worker().post([bell] { bell->ring(); });
    }
  }

  std::mutex mutex_;
  // The bells of who waits; guarded by mutex_.
  std::unordered_map<std::string, std::vector<std::shared_ptr<Bell>>> under_way_;
};

}  // namespace heddle::messaging
