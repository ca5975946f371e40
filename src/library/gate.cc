#include "library/gate.h"

#include <algorithm>
#include <semaphore>
#include <utility>

namespace heddle::library {

Gate::Entry Gate::enter(const std::shared_ptr<Waiter>& waiter) {
  const std::lock_guard lock(mutex_);
  if (running_ < most_) {
    ++running_;
    return Entry::kEntered;
  }
  if (queue_.size() >= most_queued_) return Entry::kRefused;
  queue_.push_back(waiter);
  return Entry::kQueued;
}

bool Gate::try_enter() {
  const std::lock_guard lock(mutex_);
  if (running_ >= most_) return false;
  ++running_;
  return true;
}

bool Gate::enter_and_wait() {
  if (try_enter()) return true;
  // Shared: the thread that tells of the turn may still be in release() when this one goes on.
  auto turn = std::make_shared<std::binary_semaphore>(0);
  const auto waiter = std::make_shared<Waiter>([turn] { turn->release(); });
  const Entry entry = enter(waiter);
  if (entry == Entry::kQueued) turn->acquire();
  return entry != Entry::kRefused;
}

// The place of the call that ended goes to the first that waits.
void Gate::leave() {
  std::shared_ptr<Waiter> next;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) {
      --running_;
    } else {
      next = std::move(queue_.front());
      queue_.pop_front();
    }
  }
  if (next) next->go();
}

bool Gate::withdraw(const std::shared_ptr<Waiter>& waiter) {
  const std::lock_guard lock(mutex_);
  return std::erase(queue_, waiter) > 0;
}

std::size_t Gate::queued() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

}  // namespace heddle::library
