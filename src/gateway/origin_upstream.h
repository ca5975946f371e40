// An upstream of the configuration as an origin, on one worker: its balancer, its retry policy and
// the streams of its requests. What workers share stands in UpstreamState.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "extension/http_origin.h"
#include "gateway/upstream_balancer.h"
#include "gateway/upstream_retry.h"
#include "gateway/upstream_state.h"
#include "gateway/upstream_stream.h"
#include "http/client.h"

namespace heddle::net {
class Worker;
}

namespace heddle::gateway {

// A set of endpoints as long as tries hold its entries. Not thread-safe.
struct EndpointsInUse {
  std::shared_ptr<const EndpointSet> set;
  std::size_t users = 0;
};

class UpstreamOrigin final : public extension::HttpOrigin {
 public:
  // `pool` and `worker` outlive it.
  UpstreamOrigin(std::shared_ptr<const config::Upstream> upstream,
                 std::shared_ptr<UpstreamState> state, http::ClientPool& pool, net::Worker& worker);
  ~UpstreamOrigin() override;

  http::Sender& start(net::Worker& worker, extension::ExchangeInfo& info,
                      http::Receiver& response) override;
  void describe(http::Sender& sender, extension::ExchangeInfo& info) override;
  // The endpoint that one of its senders speaks with, as configured; empty: none.
  static std::string_view endpoint_of(const http::Sender& sender);

  // An endpoint for a request or a connection; null when none may be used. The entry lives until
  // the next call from another event; hold() keeps it longer.
  const EndpointEntry* pick(std::uint64_t hash, std::span<const EndpointState* const> tried = {});
  EndpointsInUse& hold();
  void let_go(EndpointsInUse& endpoints);
  // Takes over what changed in the upstream's state since the last call.
  void refresh() {
    if (state_->generation() != generation_) update();
  }

  const config::Upstream& config() const { return *config_; }
  UpstreamState& state() { return *state_; }
  Balancer& balancer() { return balancer_; }
  const HashKey& hash_key() const { return hash_key_; }
  const RetryPolicy& retry() const { return retry_; }
  const http::ClientLimits& limits() const { return limits_; }
  http::ClientPool& pool() { return pool_; }
  net::Worker& worker() { return worker_; }
  double chance();  // from 0 to 1

  // For streams: one is free again.
  void recycle(UpstreamStream& stream) { free_.push_back(&stream); }

 private:
  void update();

  const std::shared_ptr<const config::Upstream> config_;
  const std::shared_ptr<UpstreamState> state_;
  http::ClientPool& pool_;
  net::Worker& worker_;
  http::ClientLimits limits_;
  Balancer balancer_;
  HashKey hash_key_;
  RetryPolicy retry_;
  std::uint32_t generation_;
  std::uint64_t random_;
  std::vector<std::unique_ptr<EndpointsInUse>> sets_;  // the current one last
  std::vector<std::unique_ptr<UpstreamStream>> streams_;
  std::vector<UpstreamStream*> free_;
};

}  // namespace heddle::gateway
