// What all client connections of one worker share, whatever they speak. Private to this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "http/client.h"
#include "http/http2_limits.h"
#include "net/address.h"
#include "net/resolver.h"

namespace heddle::http {

struct ClientContext {
  ClientContext(net::Worker& worker_in, net::BlockingPool& blocking, metrics::Registry& registry);

  net::Worker& worker;
  net::Resolver resolver;
  metrics::Registry& metrics;
  std::shared_ptr<metrics::Gauge> connections_active;
  std::shared_ptr<metrics::Counter> connection_limit_hits;
  std::shared_ptr<metrics::Counter> head_limit_hits;
  std::shared_ptr<metrics::Counter> send_timeout_hits;
  std::vector<std::shared_ptr<metrics::Counter>> http2_limit_hits;  // by Http2Limit
  std::uint64_t last_connection_id = 0;
};

// Where connections go; what is spoken there is another class's business.
struct ClientEndpoint {
  ClientEndpoint(ClientContext& context, const ClientTarget& target);

  bool is_valid() const { return !address.host.empty() && address.port != 0; }
  void count_connection(ClientContext& context);
  // The registry forgets the metrics of an endpoint that left; it may come back.
  void forget_metrics() { connections_total.reset(); }

  ClientTarget target;
  net::HostPort address;  // empty when the target's endpoint is not host:port
  std::shared_ptr<metrics::Counter> connections_total;  // null: forgotten
};

// Endpoints by target. Those that nobody can ask for any more go when another comes: a target with
// a TLS context of which only this map knows.
template <typename Endpoint>
class EndpointMap {
 public:
  // `idle(endpoint)`: nothing belongs to it.
  template <typename Make, typename Idle>
  Endpoint& find(const ClientTarget& target, Make make, Idle idle) {
    if (const auto found = map_.find(target); found != map_.end()) return *found->second;
    std::erase_if(map_, [&](const auto& item) {
      // The key, and the endpoint's copy of it.
      return item.first.tls != nullptr && item.first.tls.use_count() <= 2 && idle(*item.second);
    });
    return *map_.emplace(target, make()).first->second;
  }
  template <typename Visit>
  void for_each(Visit visit) {
    for (const auto& [target, endpoint] : map_) visit(*endpoint);
  }

 private:
  struct Hash {
    std::size_t operator()(const ClientTarget& target) const {
      return std::hash<std::string>()(target.endpoint);
    }
  };
  std::unordered_map<ClientTarget, std::unique_ptr<Endpoint>, Hash> map_;
};

// RFC 9110 section 9.2.2.
bool is_idempotent(std::string_view method);

// Whether a request's headers ask for an upgrade: only who means to tunnel leaves that in them.

}  // namespace heddle::http
