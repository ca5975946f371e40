#include "gateway/upstream_limiter.h"

#include <algorithm>
#include <utility>

#include "net/worker.h"

namespace heddle::gateway {

bool RequestLimiter::take(std::uint32_t max) {
  if (active_.fetch_add(1) < max) return true;
  active_.fetch_sub(1);
  return false;
}

// Whoever joins the line says so before it looks again, and whoever releases looks at the line
// after it released: one of them sees the other.
RequestLimiter::Verdict RequestLimiter::enter(
    std::uint32_t max, std::uint32_t max_waiting,
    const std::function<std::shared_ptr<Waiter>()>& make) {
  if (max == 0) return Verdict::kGo;
  if (waiting_.load() == 0 && take(max)) return Verdict::kGo;
  const std::lock_guard lock(mutex_);
  if (waiting_.fetch_add(1) < max_waiting) {
    if (line_.empty() && take(max)) {
      waiting_.fetch_sub(1);
      return Verdict::kGo;
    }
    line_.push_back(make());
    return Verdict::kWait;
  }
  waiting_.fetch_sub(1);
  return max_waiting == 0 && take(max) ? Verdict::kGo : Verdict::kFull;
}

void RequestLimiter::leave(const std::shared_ptr<Waiter>& waiter) {
  waiter->granted = nullptr;
  const std::lock_guard lock(mutex_);
  waiting_.fetch_sub(static_cast<std::uint32_t>(std::erase(line_, waiter)));
}

void RequestLimiter::release() {
  active_.fetch_sub(1);
  if (waiting_.load() == 0) return;
  std::shared_ptr<Waiter> next;
  {
    const std::lock_guard lock(mutex_);
    if (line_.empty()) return;
    next = std::move(line_.front());
    line_.pop_front();
    waiting_.fetch_sub(1);
    active_.fetch_add(1);  // it goes with the right that was given back here
  }
  hand_over(std::move(next));
}

void RequestLimiter::hand_over(std::shared_ptr<Waiter> waiter) {
  net::Worker& worker = waiter->worker;
  worker.post([self = shared_from_this(), waiter = std::move(waiter)] {
    if (waiter->granted) {
      std::exchange(waiter->granted, nullptr)();
    } else {
      self->release();
    }
  });
}

}  // namespace heddle::gateway
