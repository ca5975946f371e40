#include "gateway/origin_upstream.h"

#include <algorithm>
#include <utility>

#include "gateway/upstream_maglev.h"
#include "net/worker.h"

namespace heddle::gateway {

UpstreamOrigin::UpstreamOrigin(std::shared_ptr<const config::Upstream> upstream,
                               std::shared_ptr<UpstreamState> state, http::ClientPool& pool,
                               net::Worker& worker)
    : config_(std::move(upstream)),
      state_(std::move(state)),
      pool_(pool),
      worker_(worker),
      balancer_(parse_balancing(config_->load_balancer), config_->panic_threshold, worker.index()),
      hash_key_(config_->hash_key),
      retry_(config_->retry),
      generation_(state_->generation() - 1),
      random_(mix(static_cast<std::uint64_t>(monotonic_now()) + worker.index())) {
  limits_.connect_timeout = config_->limits.connect_timeout;
  limits_.idle_timeout = config_->limits.idle_timeout;
  limits_.max_idle = config_->limits.max_idle;
  limits_.max_connections = config_->limits.max_connections;
  refresh();
}

UpstreamOrigin::~UpstreamOrigin() = default;

http::Sender& UpstreamOrigin::start(net::Worker& /*worker*/, extension::ExchangeInfo& info,
                                    http::Receiver& response) {
  if (free_.empty()) {
    streams_.push_back(std::make_unique<UpstreamStream>(*this));
    free_.push_back(streams_.back().get());
  }
  UpstreamStream& stream = *free_.back();
  free_.pop_back();
  stream.start(info, response);
  return stream;
}

void UpstreamOrigin::describe(http::Sender& sender, extension::ExchangeInfo& info) {
  static_cast<UpstreamStream&>(sender).describe(info);
}

std::string_view UpstreamOrigin::endpoint_of(const http::Sender& sender) {
  return static_cast<const UpstreamStream&>(sender).endpoint();
}

const EndpointEntry* UpstreamOrigin::pick(std::uint64_t hash,
                                          std::span<const EndpointState* const> tried) {
  refresh();
  const std::size_t entry = balancer_.pick(hash, tried);
  if (entry == Balancer::kNone) {
    state_->counters().unavailable->add();
    return nullptr;
  }
  if (balancer_.panic()) state_->counters().panics->add();
  return &sets_.back()->set->entries[entry];
}

EndpointsInUse& UpstreamOrigin::hold() {
  ++sets_.back()->users;
  return *sets_.back();
}

void UpstreamOrigin::let_go(EndpointsInUse& endpoints) {
  if (--endpoints.users > 0 || &endpoints == sets_.back().get()) return;
  std::erase_if(sets_, [&](const auto& set) { return set.get() == &endpoints; });
}

// The generation is read first: a change that comes in between is seen the next time.
void UpstreamOrigin::update() {
  generation_ = state_->generation();
  std::shared_ptr<const EndpointSet> now = state_->endpoints();
  if (sets_.empty() || sets_.back()->set != now) {
    std::erase_if(sets_, [](const auto& set) { return set->users == 0; });
    sets_.push_back(std::make_unique<EndpointsInUse>(std::move(now)));
  }
  balancer_.update(*sets_.back()->set);
}

double UpstreamOrigin::chance() {
  random_ += 0x9E3779B97F4A7C15U;
  return static_cast<double>(mix(random_) >> 11U) * 0x1.0p-53;
}

}  // namespace heddle::gateway
