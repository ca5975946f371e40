#include "contracts/native_hook/call_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace heddle::native_hook {

bool CallQueue::send(RingWriter& ring, Nanoseconds now) {
  const std::size_t before = sent_;
  while (sent_ < calls_.size() && ring.push(calls_[sent_].record)) {
    if (sent_++ == 0) since_ = now;
  }
  return sent_ > before;
}

PendingCall CallQueue::pop() {
  PendingCall call = std::move(calls_.front());
  calls_.pop_front();
  sent_ -= std::min<std::size_t>(sent_, 1);
  expired_ -= std::min<std::size_t>(expired_, 1);
  return call;
}

std::optional<PendingCall> CallQueue::answered(std::uint64_t id, Nanoseconds now) {
  if (sent_ == 0 || calls_.front().id != id) return std::nullopt;
  since_ = now;
  return pop();
}

PendingCall* CallQueue::expired(Nanoseconds now) {
  if (expired_ == calls_.size() || calls_[expired_].deadline > now) return nullptr;
  return &calls_[expired_++];
}

Nanoseconds CallQueue::next_check() const {
  Nanoseconds out = kNever;
  if (expired_ < calls_.size()) out = calls_[expired_].deadline;
  if (sent_ > 0) out = std::min(out, since_ + calls_.front().limit);
  return out;
}

std::optional<PendingCall> CallQueue::interrupted() {
  std::optional<PendingCall> out;
  if (sent_ > 0) out = pop();
  sent_ = 0;
  return out;
}

std::vector<PendingCall> CallQueue::take_all() {
  std::vector<PendingCall> out(std::make_move_iterator(calls_.begin()),
                               std::make_move_iterator(calls_.end()));
  calls_.clear();
  sent_ = 0;
  expired_ = 0;
  return out;
}

}  // namespace heddle::native_hook
