#include "contracts/json_rpc/lane.h"

#include <utility>

#include "contracts/json_rpc/call.h"

namespace heddle::json_rpc {

// Who comes while others wait goes behind them, even when there is a place: for an instance there
// is none.
bool Lane::submit(std::shared_ptr<Call> call) {
  call->set_turn(next_turn_++);
  const Version& version = call->version();
  if (queue_.empty() && running_ < version.spec.max_calls) {
    ++running_;
    call->start_soon();
    return true;
  }
  if (full(version)) return false;
  enqueue(std::move(call));
  return true;
}

void Lane::put_back(std::shared_ptr<Call> call) {
  --running_;
  enqueue(std::move(call));
}

bool Lane::full(const Version& version) const {
  return queue_.size() >= version.spec.max_queued_calls;
}

void Lane::leave(const Call& call) {
  if (call.started()) {
    --running_;
    start_next();
  } else {
    take(call);
  }
}

void Lane::enqueue(std::shared_ptr<Call> call) {
  call->version().queued->add(1);
  const std::uint64_t turn = call->turn();
  queue_.emplace(turn, std::move(call));
}

std::shared_ptr<Call> Lane::take(const Call& call) {
  std::shared_ptr<Call> out = std::move(queue_.extract(call.turn()).mapped());
  out->version().queued->add(-1);
  return out;
}

void Lane::start_next() {
  while (!queue_.empty()) {
    const Call& first = *queue_.begin()->second;
    if (running_ >= first.version().spec.max_calls) return;
    ++running_;
    take(first)->start_later();
  }
}

}  // namespace heddle::json_rpc
