#include "gateway/filter_chain.h"

#include <utility>

#include "net/worker.h"

namespace heddle::gateway {

using extension::DataAction;
using extension::HeadersAction;
using extension::TrailersAction;

void FilterChain::Stage::reset() {
  held.clear();
  pause = Pause::kNone;
  bypass = headers_in = headers_out = headers_ended = end_in = trailers_in = false;
  back_pressure = in_data = in_last_data = false;
}

void FilterChain::begin(const std::vector<ChainEntry>& entries) {
  stopped_ = false;
  for (const ChainEntry& entry : entries) {
    if (slots_.size() == static_cast<std::size_t>(count_)) slots_.emplace_back(*this, count_);
    Slot& slot = slots_[static_cast<std::size_t>(count_)];
    slot.entry_ = &entry;
    slot.filter_ = entry.factory->create(slot);
    if (!slot.filter_) continue;  // passes this exchange by
    side_of(Side::kRequest).data_filters |= entry.interest.request_data;
    side_of(Side::kResponse).data_filters |= entry.interest.response_data;
    ++count_;
  }
}

void FilterChain::clear() {
  for (int i = 0; i < count_; ++i) {
    Slot& used = slot(i);
    used.filter_.reset();
    used.entry_ = nullptr;
    for (Stage& stage : used.stages_) stage.reset();
  }
  count_ = 0;
  kept_entries_.clear();
  for (SideState& side : sides_) {
    side.head.reset();
    side.trailers.reset();
    side.trailers_created = side.data_filters = false;
    ++side.epoch;
  }
  wanted_reply_.reset();
  wanted_reset_.reset();
  properties_.clear();
  ++generation_;
}

void FilterChain::keep_entries() {
  if (!kept_entries_.empty()) return;
  kept_entries_.reserve(static_cast<std::size_t>(count_));
  for (int i = 0; i < count_; ++i) {
    kept_entries_.push_back(*slot(i).entry_);
    slot(i).entry_ = &kept_entries_.back();
  }
}

void FilterChain::stop() {
  stopped_ = true;
  for (SideState& side : sides_) ++side.epoch;
}

void FilterChain::log() {
  for (int i = 0; i < count_; ++i) {
    if (slot(i).entry_->interest.log) slot(i).filter_->on_log();
  }
}

bool FilterChain::known_resizer(Side side) const {
  for (int i = 0; i < count_; ++i) {
    const Slot& used = slots_[static_cast<std::size_t>(i)];
    if (wants_data(side, used) && used.entry_->resizes->load(std::memory_order_relaxed))
      return true;
  }
  return false;
}

void FilterChain::note_resizer(Side side) {
  for (int i = 0; i < count_; ++i) {
    if (wants_data(side, slot(i))) slot(i).entry_->resizes->store(true, std::memory_order_relaxed);
  }
}

const std::string* FilterChain::paused_by() const {
  for (int i = 0; i < count_; ++i) {
    const Slot& used = slots_[static_cast<std::size_t>(i)];
    for (const Stage& stage : used.stages_) {
      if (stage.pause != Pause::kNone) return &used.entry_->factory->name();
    }
  }
  return nullptr;
}

void FilterChain::headers(Side side, bool end) {
  headers_from(side, first(side), end);
}

void FilterChain::data(Side side, http::Buffer& data, bool end) {
  data_from(side, first(side), data, end);
}

void FilterChain::trailers(Side side, http::HeadPtr trailers) {
  side_of(side).trailers = std::move(trailers);
  trailers_from(side, first(side));
}

void FilterChain::restart_response() {
  // What was on its way stops here; the new response takes its own.
  for (SideState& side : sides_) ++side.epoch;
  for (int i = 0; i < count_; ++i) {
    Stage& stage = this->stage(Side::kRequest, i);
    stage.pause = Pause::kNone;
    release_back_pressure(Side::kRequest, stage);
    stage.held.clear();
  }
  SideState& response = side_of(Side::kResponse);
  response.trailers.reset();
  response.trailers_created = false;
  for (int i = 0; i < count_; ++i) {
    Stage& stage = slot(i).stages_[static_cast<std::size_t>(Side::kResponse)];
    const bool saw_request = slot(i).stages_[static_cast<std::size_t>(Side::kRequest)].headers_in;
    const bool bypass = stage.bypass || stage.headers_in || !saw_request;
    release_back_pressure(Side::kResponse, stage);
    stage.reset();
    stage.bypass = bypass;
  }
}

void FilterChain::headers_from(Side side, int position, bool end) {
  const std::uint32_t epoch = side_of(side).epoch;
  for (; valid(position); position += step(side)) {
    Stage& stage = this->stage(side, position);
    stage.headers_in = true;
    if (!stage.bypass && wants_headers(side, slot(position))) {
      const HeadersAction action = call_headers(side, slot(position), end);
      if (interrupted(side, epoch)) return;
      if (!apply_headers_action(side, position, action, end)) return;
    }
    stage.headers_out = true;
  }
  owner_.chain_headers(side, end);
}

// False: the headers stay at this filter.
bool FilterChain::apply_headers_action(Side side, int position, HeadersAction action, bool end) {
  Stage& stage = this->stage(side, position);
  switch (action) {
    case HeadersAction::kContinue:
      return true;
    case HeadersAction::kStop:
      stage.pause = Pause::kHeaders;
      break;
    case HeadersAction::kStopAllBuffer:
      stage.pause = Pause::kAll;
      break;
    case HeadersAction::kStopAllWatermark:
      stage.pause = Pause::kAllWatermark;
      break;
  }
  stage.headers_ended = end;
  return false;
}

void FilterChain::data_from(Side side, int position, http::Buffer& data, bool end) {
  const std::uint32_t epoch = side_of(side).epoch;
  http::Buffer current = std::move(spare_);  // which gives `data` the memory of its list
  current = std::move(data);
  int trailers_at = -2;  // the filter that made trailers in its last body callback
  bool reached_end = true;
  for (; valid(position); position += step(side)) {
    Stage& stage = this->stage(side, position);
    const bool wanted = wants_data(side, slot(position));
    if (stage.bypass || (stage.pause == Pause::kNone && !wanted)) continue;
    stage.held.append(std::move(current));
    stage.end_in |= end;
    if (stage.pause == Pause::kAll || stage.pause == Pause::kAllWatermark) {
      hold(side, position);
      reached_end = false;
      break;
    }
    DataAction action = DataAction::kContinue;
    if (wanted) {
      action = call_data(side, slot(position), end);
      if (interrupted(side, epoch)) return;
    }
    if (action != DataAction::kContinue) {
      if (action == DataAction::kNoBuffer) stage.held.clear();
      stage.pause = action == DataAction::kWatermark ? Pause::kBodyWatermark : Pause::kBody;
      hold(side, position);
      reached_end = false;
      break;
    }
    stage.pause = Pause::kNone;
    release_back_pressure(side, stage);
    current = std::move(stage.held);
    stage.held.clear();
    if (end && side_of(side).trailers_created) {
      side_of(side).trailers_created = false;
      trailers_at = position;
      end = false;
    }
    if (!stage.headers_out) {
      stage.headers_out = true;
      headers_from(side, position + step(side), false);
      if (interrupted(side, epoch)) return;
    }
  }
  if (reached_end) owner_.chain_data(side, current, end);
  current.clear();
  spare_ = std::move(current);
  if (trailers_at != -2 && !interrupted(side, epoch)) {
    trailers_from(side, trailers_at + step(side));
  }
}

void FilterChain::trailers_from(Side side, int position) {
  const std::uint32_t epoch = side_of(side).epoch;
  for (; valid(position); position += step(side)) {
    Stage& stage = this->stage(side, position);
    stage.trailers_in = true;
    if (stage.bypass) continue;
    if (stage.pause == Pause::kAll || stage.pause == Pause::kAllWatermark) return;
    if (wants_trailers(side, slot(position))) {
      const TrailersAction action = call_trailers(side, slot(position));
      if (interrupted(side, epoch)) return;
      if (action == TrailersAction::kStop) {
        stage.pause = Pause::kTrailers;
        return;
      }
    }
    stage.pause = Pause::kNone;
    release_back_pressure(side, stage);
    if (!stage.headers_out) {
      stage.headers_out = true;
      headers_from(side, position + step(side), false);
      if (interrupted(side, epoch)) return;
    }
    if (!stage.held.empty()) {
      http::Buffer held = std::move(stage.held);
      stage.held.clear();
      data_from(side, position + step(side), held, false);
      if (interrupted(side, epoch)) return;
    }
  }
  owner_.chain_trailers(side);
}

void FilterChain::resume(Side side, int position) {
  Stage& stage = this->stage(side, position);
  const Pause paused = std::exchange(stage.pause, Pause::kNone);
  if (paused == Pause::kNone || stopped_) return;
  const std::uint32_t epoch = side_of(side).epoch;
  const int next = position + step(side);
  release_back_pressure(side, stage);
  if (!stage.headers_out) {
    stage.headers_out = true;
    headers_from(side, next, stage.headers_ended);
    if (interrupted(side, epoch) || stage.headers_ended) return;
  }
  http::Buffer held = std::move(stage.held);
  stage.held.clear();
  const bool unseen = paused == Pause::kAll || paused == Pause::kAllWatermark;
  if (unseen) {
    if (!held.empty() || stage.end_in) data_from(side, position, held, stage.end_in);
    if (stage.trailers_in && !interrupted(side, epoch)) trailers_from(side, position);
    return;
  }
  const bool created = stage.end_in && std::exchange(side_of(side).trailers_created, false);
  if (!held.empty() || stage.end_in) data_from(side, next, held, stage.end_in && !created);
  if ((created || paused == Pause::kTrailers) && !interrupted(side, epoch)) {
    trailers_from(side, next);
  }
}

// A filter keeps what it holds: within its limit, or with back-pressure.
void FilterChain::hold(Side side, int position) {
  Stage& stage = this->stage(side, position);
  const std::size_t limit = slot(position).entry_->buffer_limit;
  if (limit == 0 || stage.held.size() <= limit) return;
  if (stage.pause == Pause::kAll || stage.pause == Pause::kBody) {
    owner_.chain_overflow(side, slot(position).entry_->factory->name());
  } else if (!stage.back_pressure) {
    stage.back_pressure = true;
    owner_.chain_pause(side);
  }
}

void FilterChain::release_back_pressure(Side side, Stage& stage) {
  if (std::exchange(stage.back_pressure, false)) owner_.chain_resume(side);
}

HeadersAction FilterChain::call_headers(Side side, Slot& slot, bool end) {
  ++running_;
  http::HeaderMap& map = side_of(side).head->headers;
  const std::uint32_t version = map.version();
  const HeadersAction action = side == Side::kRequest ? slot.filter_->on_request_headers(map, end)
                                                      : slot.filter_->on_response_headers(map, end);
  --running_;
  if (slot.entry_->interest.keeps_route) owner_.chain_keep_route(map.version() - version);
  return action;
}

DataAction FilterChain::call_data(Side side, Slot& slot, bool end) {
  Stage& stage = slot.stages_[static_cast<std::size_t>(side)];
  ++running_;
  stage.in_data = true;
  stage.in_last_data = end;
  const DataAction action = side == Side::kRequest
                                ? slot.filter_->on_request_data(stage.held, end)
                                : slot.filter_->on_response_data(stage.held, end);
  stage.in_data = stage.in_last_data = false;
  --running_;
  return action;
}

TrailersAction FilterChain::call_trailers(Side side, Slot& slot) {
  ++running_;
  http::HeaderMap& map = side_of(side).trailers->headers;
  const TrailersAction action = side == Side::kRequest ? slot.filter_->on_request_trailers(map)
                                                       : slot.filter_->on_response_trailers(map);
  --running_;
  return action;
}

bool FilterChain::wants_headers(Side side, const Slot& slot) {
  const extension::FilterInterest& interest = slot.entry_->interest;
  return side == Side::kRequest ? interest.request_headers : interest.response_headers;
}

bool FilterChain::wants_data(Side side, const Slot& slot) {
  const extension::FilterInterest& interest = slot.entry_->interest;
  return side == Side::kRequest ? interest.request_data : interest.response_data;
}

bool FilterChain::wants_trailers(Side side, const Slot& slot) {
  const extension::FilterInterest& interest = slot.entry_->interest;
  return side == Side::kRequest ? interest.request_trailers : interest.response_trailers;
}

bool FilterChain::interrupted(Side side, std::uint32_t epoch) {
  if (running_ == 0 && (wanted_reply_ || wanted_reset_)) apply_wishes();
  return stopped_ || side_of(side).epoch != epoch;
}

void FilterChain::apply_wishes() {
  if (stopped_) {
    wanted_reply_.reset();
    wanted_reset_.reset();
    return;
  }
  if (wanted_reset_) {
    const int position = *std::exchange(wanted_reset_, std::nullopt);
    wanted_reply_.reset();
    owner_.chain_reset(slot(position).entry_->factory->name());
    return;
  }
  if (wanted_reply_) {
    auto [reply, position] = *std::exchange(wanted_reply_, std::nullopt);
    owner_.chain_local_reply(std::move(reply), slot(position).entry_->factory->name());
  }
}

void FilterChain::defer_wishes() {
  if (running_ > 0) return;  // the callback's caller carries them out
  owner_.retain();
  owner_.worker().defer([this, generation = generation_] {
    if (generation == generation_) apply_wishes();
    owner_.release();
  });
}

void FilterChain::defer_resume(Side side, int position) {
  owner_.retain();
  owner_.worker().defer([this, side, position, generation = generation_] {
    if (generation == generation_ && !stopped_) resume(side, position);
    owner_.release();
  });
}

}  // namespace heddle::gateway
