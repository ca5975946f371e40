// The way of a TCP connection to an endpoint of its upstream: whichever the balancer chooses, then
// each of the others, with TLS where the upstream has it.
#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "gateway/origin_upstream.h"
#include "gateway/tcp_connection.h"
#include "gateway/tcp_listener.h"
#include "net/timer_queue.h"

namespace heddle::gateway {

UpstreamOrigin& TcpConnection::origin() const {
  // The configuration's checks let no built-in upstream stand behind a TCP listener.
  return static_cast<UpstreamOrigin&>(*snapshot_->origins[entry_->upstream]);
}

void TcpConnection::on_filters_opened() {
  state_ = State::kConnecting;
  switch (place_.enter(origin(), [this] { try_next_endpoint(); })) {
    case TcpUpstream::Admission::kGo:
      return try_next_endpoint();
    case TcpUpstream::Admission::kWait:
      return;
    case TcpUpstream::Admission::kRefused:
      info_.upstream_failure = place_.refusal();
      return give_up_on_upstream("upstream_overflow", "UO");
  }
}

void TcpConnection::try_next_endpoint() {
  const EndpointEntry* entry = place_.next(origin(), connection_.remote_ip);
  if (entry == nullptr) {
    place_.gave_up(origin());
    if (!place_.none_usable()) return give_up_on_upstream("upstream_unreachable", "UF");
    info_.upstream_failure = "no endpoint is usable";
    return give_up_on_upstream("no_healthy_upstream", "UH");
  }
  endpoint_ = entry->host;
  target_ = entry->target;
  const auto target = net::parse_host_port(target_.endpoint);
  if (!target) return attempt_failed(target.error().message);
  const auto timeout = upstream_config().limits.connect_timeout;
  connect_timer_.arm(worker().timers(), timeout, [this, timeout] {
    attempt_failed(fmt::format("no connection within {} ms (connect_timeout)", timeout.count()));
  });
  listener_.resolver().resolve(
      target->host, target->port,
      [this, attempt = ++attempts_, alive = std::weak_ptr(alive_)](const auto& addresses) {
        if (alive.expired() || state_ != State::kConnecting || attempt != attempts_) return;
        if (!addresses) return attempt_failed(addresses.error().message);
        addresses_ = *addresses;
        next_address_ = 0;
        try_next_address();
      });
}

void TcpConnection::try_next_address() {
  const net::SocketAddress& address = addresses_[next_address_++];
  info_.upstream_address = address.to_string();
  upstream_.connect(address);
}

void TcpConnection::on_end_connected(int error) {
  if (state_ != State::kConnecting) return;
  if (error != 0) {
    if (next_address_ < addresses_.size()) return try_next_address();
    return attempt_failed(std::strerror(error));  // glibc's is safe on any thread
  }
  if (target_.tls == nullptr) return connected();
  upstream_.start_tls_client(target_.tls, target_.server_name);
}

void TcpConnection::on_end_secured(TcpEnd& end, std::string_view error) {
  if (&end == &client_) return client_secured(error);
  if (state_ != State::kConnecting) return;
  if (!error.empty()) return attempt_failed(error);
  info_.upstream_tls = upstream_.stream().tls();
  connected();
}

void TcpConnection::connected() {
  connect_timer_.cancel();
  place_.connected(origin());
  connected_ = true;
  state_ = State::kOpen;
  info_.upstream_local_address = net::local_address(upstream_.fd()).to_string();
  arm_idle();
  client_.look_again();
  upstream_.look_again();
  if (const auto& current = listener_.gateway().current()) follow(current);
}

void TcpConnection::attempt_failed(std::string_view reason) {
  info_.upstream_failure = fmt::format("{}: {}", target_.endpoint, reason);
  upstream_.close();
  place_.failed(origin());
  try_next_endpoint();
}

void TcpConnection::give_up_on_upstream(std::string_view details, std::string_view flags) {
  connect_timer_.cancel();
  listener_.gateway().log().warn("a TCP connection cannot be passed on",
                                 {{"listener", listener_.name()},
                                  {"upstream", info_.upstream},
                                  {"reason", info_.upstream_failure},
                                  {"request_id", info_.request_id}});
  listener_.metrics().unreachable->add();
  close_softly(details, flags);
}

}  // namespace heddle::gateway
