#include "sandbox/slot_line.h"

#include <algorithm>
#include <utility>

namespace heddle::sandbox {

SlotLine::Place::~Place() {
  line_.leave(*this);
}

SlotLine::Keeper::Keeper(SlotLine& line, std::move_only_function<void()> ask)
    : line_(line), ask_(std::move(ask)) {
  const std::lock_guard lock(line_.mutex_);
  line_.keepers_.push_back(this);
}

SlotLine::Keeper::~Keeper() {
  const std::lock_guard lock(line_.mutex_);
  std::erase(line_.keepers_, this);
}

bool SlotLine::another_waits(const Place* mine) {
  if (waiting_ == 0) return false;
  const std::lock_guard lock(mutex_);
  return !places_.empty() && places_.front() != mine;
}

void SlotLine::ask_a_keeper() {
  const std::lock_guard lock(mutex_);
  ask_locked();
}

// A keeper counts first and then looks who waits, as whoever gives a slot back.
void SlotLine::ask_locked() {
  const auto found =
      std::ranges::find_if(keepers_, [](const Keeper* each) { return each->kept_ > 0; });
  if (found == keepers_.end()) return;
  Keeper& keeper = **found;
  keepers_.erase(found);
  keepers_.push_back(&keeper);
  keeper.ask_();
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
  if (given_back_ == seen) {
    ask_locked();
    return out;
  }
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
