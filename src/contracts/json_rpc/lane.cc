#include "contracts/json_rpc/lane.h"

#include <utility>

#include "contracts/json_rpc/call.h"

namespace heddle::json_rpc {

bool Lane::submit(std::shared_ptr<Call> call) {
  const auto& spec = call->version().spec;
  if (running_ < spec.max_calls) {
    ++running_;
    call->start_soon();
    return true;
  }
  if (queue_.size() >= spec.max_queued_calls) return false;
  enqueue(std::move(call), queue_.end());
  return true;
}

void Lane::put_back(std::shared_ptr<Call> call) {
  --running_;
  enqueue(std::move(call), queue_.begin());
}

void Lane::leave(const Call& call) {
  if (call.started()) {
    --running_;
    start_next();
  } else {
    take(call);
  }
}

void Lane::enqueue(std::shared_ptr<Call> call, Queue::const_iterator before) {
  call->version().queued->add(1);
  const Call* key = call.get();
  places_[key] = queue_.insert(before, std::move(call));
}

std::shared_ptr<Call> Lane::take(const Call& call) {
  const auto place = places_.find(&call);
  std::shared_ptr<Call> out = std::move(*place->second);
  queue_.erase(place->second);
  places_.erase(place);
  out->version().queued->add(-1);
  return out;
}

void Lane::start_next() {
  while (!queue_.empty() && running_ < queue_.front()->version().spec.max_calls) {
    ++running_;
    take(*queue_.front())->start_later();
  }
}

}  // namespace heddle::json_rpc
