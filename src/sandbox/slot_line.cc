#include "sandbox/slot_line.h"

#include <algorithm>
#include <utility>

namespace heddle::sandbox {

SlotLine::Place::~Place() {
  line_.leave(*this);
}

void SlotLine::give_back() {
  ++given_back_;
  if (waiting_ > 0) wake_next();
}

void SlotLine::wake_next() {
  const std::lock_guard lock(mutex_);
  if (places_.empty()) return;
  Place& place = *places_.front();
  places_.pop_front();
  --waiting_;
  place.woken_ = true;
  place.wake_();
}

std::unique_ptr<SlotLine::Place> SlotLine::queue(std::uint64_t seen,
                                                 std::move_only_function<void()> wake) {
  auto out = std::make_unique<Place>(*this, std::move(wake));
  const std::lock_guard lock(mutex_);
  places_.push_back(out.get());
  ++waiting_;
  // Who gives a slot back counts first and then looks who waits; so one of both sees the other.
  if (given_back_ == seen) return out;
  places_.pop_back();
  --waiting_;
  out->woken_ = true;
  out->wake_();
  return out;
}

void SlotLine::leave(Place& place) {
  bool next = false;
  {
    const std::lock_guard lock(mutex_);
    next = place.woken_ && !place.used_;
    if (const auto found = std::ranges::find(places_, &place); found != places_.end()) {
      places_.erase(found);
      --waiting_;
    }
  }
  if (next) wake_next();
}

}  // namespace heddle::sandbox
