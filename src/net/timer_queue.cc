#include "net/timer_queue.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace heddle::net {
namespace {

constexpr Nanoseconds kTickNs = 1'000'000;
constexpr auto kCoarseFromNs = to_nanoseconds(TimerQueue::kCoarseFrom);
constexpr std::uint64_t kCoarseTicks = TimerQueue::kResolution / TimerQueue::kTick;

// The first tick that is not before `deadline`.
std::uint64_t tick_of(Nanoseconds deadline, bool coarse) {
  std::uint64_t tick = (static_cast<std::uint64_t>(deadline) + kTickNs - 1) / kTickNs;
  if (coarse) tick = (tick + kCoarseTicks - 1) / kCoarseTicks * kCoarseTicks;
  return tick;
}

}  // namespace

void Timer::arm(TimerQueue& queue, std::chrono::nanoseconds delay,
                std::move_only_function<void()> callback) {
  cancel();
  callback_ = std::move(callback);
  queue.arm(*this, to_nanoseconds(delay));
}

void Timer::rearm(TimerQueue& queue, std::chrono::nanoseconds delay) {
  if (armed()) queue.rearm(*this, to_nanoseconds(delay));
}

void Timer::cancel() {
  if (queue_ == nullptr) return;
  queue_->unlink(*this);
  callback_ = nullptr;
}

TimerQueue::~TimerQueue() {
  for (Timer*& head : slots_) {
    while (head != nullptr) head->cancel();
  }
}

void TimerQueue::arm(Timer& timer, Nanoseconds delay) {
  const Nanoseconds now = host_.precise_now();
  // Nothing lies between the last run and now: count from now, or the new timer would start on too
  // high a level.
  const std::uint64_t now_tick = static_cast<std::uint64_t>(now) / kTickNs;
  if (!firing_ && now_tick > elapsed_ && next_expiration().tick > now_tick) elapsed_ = now_tick;
  delay = std::clamp<Nanoseconds>(delay, 0, static_cast<Nanoseconds>(kMaxTicks) * kTickNs);
  const std::uint64_t tick = tick_of(now + delay, delay >= kCoarseFromNs);
  timer.deadline_ = static_cast<Nanoseconds>(tick) * kTickNs;
  timer.queue_ = this;
  ++size_;
  link(timer, std::max(tick, elapsed_ + 1));
  if (!firing_) schedule();
}

void TimerQueue::rearm(Timer& timer, Nanoseconds delay) {
  delay = std::clamp<Nanoseconds>(delay, 0, static_cast<Nanoseconds>(kMaxTicks) * kTickNs);
  const std::uint64_t tick = tick_of(host_.event_now() + delay, delay >= kCoarseFromNs);
  timer.deadline_ = static_cast<Nanoseconds>(tick) * kTickNs;
  if (tick >= timer.linked_tick_) return;
  unlink(timer);
  timer.queue_ = this;
  ++size_;
  link(timer, std::max(tick, elapsed_ + 1));
  if (!firing_) schedule();
}

void TimerQueue::link(Timer& timer, std::uint64_t tick) {
  const int high_bit = 63 - std::countl_zero((elapsed_ ^ tick) | (kSlots - 1));
  const int level = std::min(high_bit / kSlotBits, kLevels - 1);
  const std::uint64_t slot = (tick >> (level * kSlotBits)) & (kSlots - 1);
  timer.linked_tick_ = tick;
  timer.slot_ = static_cast<std::uint16_t>(level * kSlots + slot);
  Timer*& head = slots_[timer.slot_];
  timer.previous_ = nullptr;
  timer.next_ = head;
  if (head != nullptr) head->previous_ = &timer;
  head = &timer;
  occupied_[level] |= std::uint64_t{1} << slot;
}

void TimerQueue::unlink(Timer& timer) {
  if (timer.previous_ != nullptr) {
    timer.previous_->next_ = timer.next_;
  } else {
    slots_[timer.slot_] = timer.next_;
    if (timer.next_ == nullptr) {
      occupied_[timer.slot_ / kSlots] &= ~(std::uint64_t{1} << (timer.slot_ % kSlots));
    }
  }
  if (timer.next_ != nullptr) timer.next_->previous_ = timer.previous_;
  timer.previous_ = timer.next_ = nullptr;
  timer.queue_ = nullptr;
  --size_;
}

TimerQueue::Expiration TimerQueue::next_expiration() const {
  // A slot of a lower level always ends before the next slot of a higher one begins, so the first
  // level wins.
  for (int level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const int shift = level * kSlotBits;
    const std::uint64_t now_slot = (elapsed_ >> shift) & (kSlots - 1);
    const auto ahead = static_cast<std::uint64_t>(
        std::countr_zero(std::rotr(occupied_[level], static_cast<int>(now_slot))));
    const std::uint64_t tick = ((elapsed_ >> shift) + ahead) << shift;
    return {std::max(tick, elapsed_), level, (now_slot + ahead) & (kSlots - 1)};
  }
  return {};
}

void TimerQueue::expire_slot(const Expiration& expiration) {
  elapsed_ = expiration.tick;
  Timer*& head = slots_[expiration.level * kSlots + expiration.slot];
  while (head != nullptr) {
    Timer& timer = *head;
    unlink(timer);
    const std::uint64_t tick = static_cast<std::uint64_t>(timer.deadline_) / kTickNs;
    if (tick > elapsed_ || (expiration.level != 0 && timer.linked_tick_ > elapsed_)) {
      timer.queue_ = this;
      ++size_;
      link(timer, std::max(tick, timer.linked_tick_));
      continue;
    }
    auto callback = std::move(timer.callback_);
    timer.callback_ = nullptr;
    callback();  // may destroy the timer
  }
}

void TimerQueue::fire() {
  // Also when a callback throws: the other timers go on.
  struct Firing {
    explicit Firing(TimerQueue& queue_in) : queue(queue_in) { queue.firing_ = true; }
    ~Firing() {
      queue.firing_ = false;
      queue.schedule();
    }
    Firing(const Firing&) = delete;
    Firing& operator=(const Firing&) = delete;
    TimerQueue& queue;
  };
  wake_tick_ = kNever;
  const Firing firing(*this);
  const std::uint64_t now = static_cast<std::uint64_t>(host_.precise_now()) / kTickNs;
  for (;;) {
    const Expiration next = next_expiration();
    if (next.tick > now) break;
    expire_slot(next);
  }
  elapsed_ = std::max(elapsed_, now);
}

void TimerQueue::schedule() {
  const std::uint64_t tick = next_expiration().tick;
  if (tick >= wake_tick_) return;  // also: nothing armed
  wake_tick_ = tick;
  host_.wake_at(static_cast<Nanoseconds>(tick) * kTickNs);
}

}  // namespace heddle::net
