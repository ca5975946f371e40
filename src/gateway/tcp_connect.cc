// The way of a TCP connection to an endpoint of its upstream: each endpoint and address in turn, and
// TLS where the upstream has it.
#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "gateway/tcp_connection.h"
#include "gateway/tcp_listener.h"
#include "net/timer_queue.h"

namespace heddle::gateway {

void TcpConnection::on_filters_opened() {
  state_ = State::kConnecting;
  first_endpoint_ = listener_.next_endpoint(upstream_config().endpoints.size());
  try_next_endpoint();
}

void TcpConnection::try_next_endpoint() {
  const config::Upstream& upstream = upstream_config();
  if (attempts_ == upstream.endpoints.size()) return give_up_on_upstream();
  endpoint_ =
      upstream.endpoints[(first_endpoint_ + attempts_++) % upstream.endpoints.size()].address;
  const auto target = net::parse_host_port(endpoint_);
  if (!target) return attempt_failed(target.error().message);
  host_ = target->host;
  const auto timeout = upstream.limits.connect_timeout;
  connect_timer_.arm(worker().timers(), timeout, [this, timeout] {
    attempt_failed(fmt::format("no connection within {} ms (connect_timeout)", timeout.count()));
  });
  listener_.resolver().resolve(
      target->host, target->port,
      [this, attempt = attempts_, alive = std::weak_ptr(alive_)](const auto& addresses) {
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
    return attempt_failed(std::strerror(error));  // NOLINT(concurrency-mt-unsafe): glibc's is safe
  }
  const UpstreamEntry& upstream = upstream_entry();
  if (upstream.tls == nullptr) return connected();
  const std::string& name = upstream.upstream->tls.server_name;
  upstream_.start_tls_client(upstream.tls, name.empty() ? host_ : name);
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
  connected_ = true;
  state_ = State::kOpen;
  info_.upstream_local_address = net::local_address(upstream_.fd()).to_string();
  arm_idle();
  client_.look_again();
  upstream_.look_again();
  if (const auto& current = listener_.gateway().current()) follow(current);
}

void TcpConnection::attempt_failed(std::string_view reason) {
  info_.upstream_failure = fmt::format("{}: {}", endpoint_, reason);
  upstream_.close();
  try_next_endpoint();
}

void TcpConnection::give_up_on_upstream() {
  connect_timer_.cancel();
  listener_.gateway().log().warn("a TCP connection cannot be passed on",
                                 {{"listener", listener_.name()},
                                  {"upstream", info_.upstream},
                                  {"reason", info_.upstream_failure},
                                  {"request_id", info_.request_id}});
  listener_.metrics().unreachable->add();
  close_softly("upstream_unreachable", "UF");
}

}  // namespace heddle::gateway
