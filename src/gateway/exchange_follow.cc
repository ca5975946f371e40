// How an exchange that can last for days follows changes of the configuration: a tunnel, a gRPC
// call, an event stream. While nothing of its own changed it goes over to the newer snapshot, so
// that it keeps no old one alive; else it has drain_timeout. Other exchanges end by themselves.
#include <algorithm>
#include <utility>

#include "gateway/exchange.h"
#include "gateway/origin_upstream.h"
#include "http/grpc.h"

namespace heddle::gateway {

void Exchange::follow() {
  if (bound_ == nullptr || finished_ || closing_ || bound_ == gateway_.current()) return;
  if (may_last() && adopt_current()) {
    outdated_timer_.cancel();
  } else if (!outdated_timer_.armed()) {
    wait_outdated();
  }
}

bool Exchange::may_last() {
  if (tunnel_) return true;
  if (!outgoing(Side::kResponse).head_sent || replied_) return false;
  const http::HeaderMap& answer = chain_.head(Side::kResponse)->headers;
  return http::is_grpc(answer) ||
         answer.get("content-type").value_or("").starts_with("text/event-stream");
}

// False: its route, its plugins, or its endpoint are not the same any more.
bool Exchange::adopt_current() {
  const std::shared_ptr<BoundSnapshot>& current = gateway_.current();
  if (route_->route == nullptr || route_->origin) return false;
  const RouteEntry* const next = current->snapshot->find_route(info_.route);
  const RouteEntry* const chain_next = chain_route_->route == nullptr
                                           ? &current->snapshot->unrouted()
                                           : current->snapshot->find_route(chain_route_->route->id);
  if (next == nullptr || next->upstream == RouteMatch::kNone || chain_next == nullptr ||
      chain_next->plugins != chain_route_->plugins) {
    return false;
  }
  const config::Route& route = *next->route;
  if (route.host != route_->route->host || route.path != route_->route->path ||
      route.upstream != route_->route->upstream ||
      !keeps_endpoint(*current->snapshot->upstreams()[next->upstream].upstream)) {
    return false;
  }
  if (!kept_origin_) kept_origin_ = bound_->origins[route_->upstream];
  chain_.keep_entries();
  bound_ = current;
  route_ = next;
  chain_route_ = chain_next;
  info_.route = route.id;
  info_.route_upstream = info_.upstream = route.upstream;
  info_.route_metadata = &route.metadata;
  return true;
}

bool Exchange::keeps_endpoint(const config::Upstream& upstream) const {
  const config::Upstream& before = *bound_->snapshot->upstreams()[route_->upstream].upstream;
  if (!before.builtin.empty() || !upstream.builtin.empty())
    return before.builtin == upstream.builtin;
  const std::string_view endpoint =
      upstream_ != nullptr ? UpstreamOrigin::endpoint_of(*upstream_) : std::string_view();
  return endpoint.empty() ||
         std::ranges::find(upstream.endpoints, endpoint, &config::Endpoint::address) !=
             upstream.endpoints.end();
}

void Exchange::wait_outdated() {
  outdated_timer_.arm(worker().timers(), gateway_.current()->snapshot->config().drain_timeout,
                      [this] {
                        const net::Worker::Scope scope(worker());
                        on_outdated();
                      });
}

void Exchange::on_outdated() {
  if (finished_ || gateway_.current() == nullptr) return;
  if (!may_last()) {
    wait_outdated();  // it may still become a tunnel
    return;
  }
  if (!adopt_current()) give_up();
}

bool Exchange::leave(std::uint64_t listener) {
  if (bound_ == nullptr || finished_ || listener_ != listener) return false;
  if (!closing_) give_up();
  return closing_ && !finished_;
}

void Exchange::give_up() {
  gateway_.log().info(
      tunnel_ ? "a tunnel is closed, since what it began with has gone"
              : "a stream is broken off, since what it began with has gone",
      {{"route", info_.route}, {"request_id", info_.request_id}, {"limit", "drain_timeout"}});
  retain();
  if (tunnel_) {
    close_tunnel();
  } else {
    break_off("drain_timeout", {});
  }
  release();
}

// Both peers get what is on its way and then the end; who does not end its side is broken off.
void Exchange::close_tunnel() {
  info_.response_code_details = "drain_timeout";
  const bool request_ended = outgoing(Side::kRequest).ended;
  const bool response_ended = outgoing(Side::kResponse).ended;
  if (!response_ended) send_data(Side::kResponse, {}, true);
  if (!request_ended) send_data(Side::kRequest, {}, true);
  if (!finished_) farewell();
}

// A client that still takes what is there has its time behind that.
void Exchange::farewell() {
  closing_ = true;
  outdated_timer_.arm(worker().timers(), kFarewell, [this] {
    const net::Worker::Scope scope(worker());
    if (finished_) return;
    if (upstream_ == nullptr && upstream_paused_) return farewell();
    break_off(info_.response_code_details, info_.response_flags);
  });
}

}  // namespace heddle::gateway
