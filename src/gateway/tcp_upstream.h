// What one TCP connection is to its upstream: one of the requests that the circuit breaker and the
// limit of requests count, on an endpoint that the balancer chose and whose health it reports. The
// counterpart of UpstreamStream, which does the same for HTTP.
//
//   enter -> (a place in the line) -> next -> failed -> next … -> connected     leave, whenever
//
// Worker thread only. The origin belongs to the snapshot that the connection began with and is
// needed until it is connected; afterwards only what all workers share is held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/upstream_endpoint.h"
#include "gateway/upstream_limiter.h"
#include "gateway/upstream_state.h"

namespace heddle::gateway {

class UpstreamOrigin;

class TcpUpstream {
 public:
  TcpUpstream() = default;
  ~TcpUpstream() { leave(); }
  TcpUpstream(const TcpUpstream&) = delete;
  TcpUpstream& operator=(const TcpUpstream&) = delete;

  // Whether the connection may go on. kWait: `granted` runs when it may. kRefused: see refusal().
  enum class Admission : std::uint8_t { kGo, kWait, kRefused };
  Admission enter(UpstreamOrigin& origin, std::function<void()> granted);
  const std::string& refusal() const { return refusal_; }

  // The endpoint to try next: each one once. Null: no other is left; none_usable() tells whether
  // there was one at all. The entry lives until the next call from another event.
  const EndpointEntry* next(UpstreamOrigin& origin, std::string_view source);
  bool none_usable() const { return tried_.empty(); }

  // What became of the endpoint that next() gave.
  void connected(UpstreamOrigin& origin);
  void failed(UpstreamOrigin& origin);
  // No endpoint could be reached.
  void gave_up(UpstreamOrigin& origin);

  // The connection has ended, or nobody waits for it any more.
  void leave();

 private:
  void leave_circuit(UpstreamOrigin& origin, bool success);
  void leave_endpoint();

  std::shared_ptr<UpstreamState> state_;  // null: not entered
  std::shared_ptr<EndpointState> endpoint_;
  std::vector<const EndpointState*> tried_;  // only compared
  std::shared_ptr<RequestLimiter::Waiter> waiter_;
  std::string refusal_;
  bool has_place_ = false;                     // of the limiter
  std::optional<Circuit::Pass> circuit_pass_;  // it owes the circuit breaker a result
};

}  // namespace heddle::gateway
