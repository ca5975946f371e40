#include "gateway/network_chain.h"

#include <utility>

namespace heddle::gateway {

using extension::NetworkAction;
using extension::Peer;

NetworkChain::~NetworkChain() = default;

http::Buffer* NetworkChain::Slot::data(Flow flow) {
  Stage& stage = stages.at(index(flow));
  if (chain_.ended_) return nullptr;
  return stage.running || !stage.held.empty() ? &stage.held : nullptr;
}

void NetworkChain::open(Factories factories) {
  for (const auto& factory : factories) {
    slots_.push_back(std::make_unique<Slot>(*this, slots_.size(), *factory));
    Slot& slot = *slots_.back();
    slot.filter = factory->create_network(slot);
  }
  run(Flow::kDownstream, 0, {}, false);
}

void NetworkChain::feed(Flow flow, http::Buffer&& data, bool end) {
  if (!ended_) run(flow, 0, std::move(data), end);
}

NetworkChain::Slot* NetworkChain::at(Flow flow, std::size_t step) {
  if (step >= slots_.size()) return nullptr;
  return slots_[flow == Flow::kDownstream ? step : slots_.size() - 1 - step].get();
}

// Without data and end it only opens the filters that are not yet.
void NetworkChain::run(Flow flow, std::size_t step, http::Buffer&& data, bool end) {
  for (Slot* slot = at(flow, step); slot != nullptr; slot = at(flow, ++step)) {
    if (slot->filter == nullptr) continue;
    Stage& stage = slot->stages.at(index(flow));
    stage.held.append(std::move(data));
    data.clear();
    stage.end = stage.end || end;
    const bool opens = flow == Flow::kDownstream && !slot->opened;
    if (opens && !open_slot(*slot)) return;
    if (ended_) return;
    if (!stage.held.empty() || stage.end) {
      if (!show(flow, *slot)) return;
      data = std::move(stage.held);
      end = stage.end;
    }
  }
  if (flow == Flow::kDownstream && !std::exchange(opened_, true)) owner_.on_filters_opened();
  if (!ended_ && (!data.empty() || end)) owner_.on_filtered(flow, std::move(data), end);
}

bool NetworkChain::open_slot(Slot& slot) {
  slot.opened = true;
  const bool stop = slot.filter->on_new_connection() == NetworkAction::kStop;
  slot.stages.at(index(Flow::kDownstream)).stopped = stop;
  return !stop;
}

// Calls the filter with what it holds. True: that goes on.
bool NetworkChain::show(Flow flow, Slot& slot) {
  Stage& stage = slot.stages.at(index(flow));
  stage.running = true;
  const bool downstream = flow == Flow::kDownstream;
  const NetworkAction action = downstream ? slot.filter->on_downstream_data(stage.held, stage.end)
                                          : slot.filter->on_upstream_data(stage.held, stage.end);
  stage.running = false;
  if (!downstream && stage.end && !std::exchange(slot.upstream_closed, true)) {
    slot.filter->on_upstream_close(Peer::kUnknown);  // as Envoy: its end is all that is known
  }
  stage.stopped = action == NetworkAction::kStop;
  if (!stage.stopped) {
    note_room(flow, slot);
    return true;
  }
  if (!stage.full && stage.held.size() >= slot.factory.buffer_limit()) {
    stage.full = true;
    ++full_.at(index(flow));
    owner_.on_filter_full(slot.factory.name(), stage.held.size());
  }
  return false;
}

void NetworkChain::note_room(Flow flow, Slot& slot) {
  if (std::exchange(slot.stages.at(index(flow)).full, false)) --full_.at(index(flow));
}

void NetworkChain::resume(Flow flow, std::size_t position) {
  if (ended_) return;
  Slot& slot = *slots_[position];
  Stage& stage = slot.stages.at(index(flow));
  if (!std::exchange(stage.stopped, false)) return;
  note_room(flow, slot);
  const std::size_t step = flow == Flow::kDownstream ? position + 1 : slots_.size() - position;
  http::Buffer data = std::move(stage.held);
  run(flow, step, std::move(data), stage.end);
  if (!ended_) owner_.on_filters_room(flow);
}

void NetworkChain::defer_resume(Flow flow, std::size_t position) {
  if (ended_) return;
  owner_.worker().defer([this, flow, position] { resume(flow, position); });
}

void NetworkChain::defer_close(std::size_t position) {
  if (ended_ || std::exchange(closing_, true)) return;
  owner_.worker().defer([this, position] {
    if (!ended_) owner_.on_filter_close(slots_[position]->factory.name());
  });
}

// The side that ended by itself is told first.
void NetworkChain::end(Peer downstream, Peer upstream, bool connected) {
  if (std::exchange(ended_, true)) return;
  for (const auto& slot : slots_) {
    if (slot->filter == nullptr || !slot->opened) continue;
    const bool tell_upstream = connected && !std::exchange(slot->upstream_closed, true);
    if (tell_upstream && upstream == Peer::kRemote) slot->filter->on_upstream_close(upstream);
    slot->filter->on_downstream_close(downstream);
    if (tell_upstream && upstream != Peer::kRemote) slot->filter->on_upstream_close(upstream);
  }
  for (const auto& slot : slots_) slot->filter.reset();
}

}  // namespace heddle::gateway
