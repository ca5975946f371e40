// The calls that a child process has not answered yet, in the order in which it makes them, with
// their time limits. Not synchronised: its owner locks.
#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "contracts/native_hook/shared_ring.h"
#include "contracts/native_hook/slots.h"
#include "extension/message_hook.h"

namespace heddle::native_hook {

struct PendingCall {
  std::uint64_t id = 0;
  Slot slot = Slot::kMessageEnqueue;
  std::string record = {};
  Nanoseconds limit = 0;     // for the call itself, once it is its turn
  Nanoseconds deadline = 0;  // for who waits
  net::Worker* worker = nullptr;
  extension::VerdictReceiver* receiver = nullptr;  // null: nobody waits, or no longer
  // Set when it is over; null: nobody waits.
  std::shared_ptr<std::promise<void>> end = {};
};

class CallQueue {
 public:
  static constexpr std::size_t kMaxCalls = 1'024;
  static constexpr Nanoseconds kNever = INT64_MAX;

  bool empty() const { return calls_.empty(); }
  bool full() const { return calls_.size() >= kMaxCalls; }
  std::uint64_t next_id() { return ++last_id_; }
  void push(PendingCall call) { calls_.push_back(std::move(call)); }

  // Writes what the ring has room for; whether that was anything.
  bool send(RingWriter& ring, Nanoseconds now);
  // Takes the call that was made; nothing if the answer belongs to no call.
  std::optional<PendingCall> answered(std::uint64_t id, Nanoseconds now);
  // The next one whose caller need not wait any longer; it stays, without a receiver. Null: none.
  PendingCall* expired(Nanoseconds now);
  // Whether the call that the child makes now has had its time.
  bool overdue(Nanoseconds now) const { return sent_ > 0 && now >= since_ + calls_.front().limit; }
  // When expired() or overdue() will have something next.
  Nanoseconds next_check() const;

  // The child is gone: takes the call that it was making, and forgets that others were sent.
  std::optional<PendingCall> interrupted();
  std::vector<PendingCall> take_all();
  bool is_running(const PendingCall& call) const { return sent_ > 0 && &call == &calls_.front(); }

 private:
  PendingCall pop();

  std::deque<PendingCall> calls_;
  std::size_t sent_ = 0;     // so many at the front stand in the ring
  std::size_t expired_ = 0;  // so many at the front were told by expired()
  Nanoseconds since_ = 0;    // the first is being made
  std::uint64_t last_id_ = 0;
};

}  // namespace heddle::native_hook
