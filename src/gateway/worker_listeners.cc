#include "gateway/worker_listeners.h"

#include <algorithm>
#include <utility>

#include "gateway/exchange.h"
#include "gateway/gateway_worker.h"
#include "gateway/tcp_listener.h"

namespace heddle::gateway {
namespace {

constexpr std::chrono::milliseconds kSweep{50};  // how often it is seen whether a retired one ended

http::Http2Limits http2_limits(const config::Listener& listener) {
  const config::ListenerHttp2& http2 = listener.http2;
  return {.enabled = http2.enabled,
          .only = listener.protocol == "h2c",
          .max_concurrent_streams = http2.max_concurrent_streams,
          .stream_window = static_cast<std::uint32_t>(http2.stream_window),
          .connection_window = static_cast<std::uint32_t>(http2.connection_window),
          .max_frame_size = static_cast<std::uint32_t>(http2.max_frame_size),
          .max_resets_per_second = http2.max_resets_per_second,
          .max_control_frames_per_second = http2.max_control_frames_per_second};
}

http::ServerLimits server_limits(const config::Listener& listener) {
  http::ServerLimits limits;
  limits.max_head_bytes = listener.limits.max_head_bytes;
  limits.max_headers = listener.limits.max_headers;
  limits.max_target_bytes = listener.limits.max_target_bytes;
  limits.max_body_bytes = listener.limits.max_body_bytes;
  limits.idle_timeout = listener.limits.idle_timeout;
  limits.head_timeout = listener.limits.head_timeout;
  limits.body_timeout = listener.limits.body_timeout;
  limits.send_timeout = listener.limits.send_timeout;
  limits.max_connections = listener.limits.max_connections;
  limits.http2 = http2_limits(listener);
  return limits;
}

}  // namespace

// Tells the gateway which listener a request came in by.
class WorkerListeners::Entrance final : public http::ServerHandler {
 public:
  Entrance(GatewayWorker& gateway, std::uint64_t listener)
      : gateway_(gateway), listener_(listener) {}

  http::Receiver* on_request(http::Sender& sender, const http::ConnectionInfo& connection,
                             http::HeadPtr head, bool end) override {
    return gateway_.on_request(listener_, sender, connection, std::move(head), end);
  }
  std::string on_bad_request(const http::ConnectionInfo& connection, int status,
                             std::string_view reason) override {
    return gateway_.on_bad_request(connection, status, reason);
  }

 private:
  GatewayWorker& gateway_;
  const std::uint64_t listener_;
};

WorkerListeners::WorkerListeners(GatewayWorker& gateway, net::BlockingPool& blocking,
                                 metrics::Registry& registry)
    : gateway_(gateway), registry_(registry), resolver_(gateway.worker(), blocking) {}

WorkerListeners::~WorkerListeners() = default;

bool WorkerListeners::Open::ended() const {
  return http ? http->ended() : tcp->ended();
}

Result<void> WorkerListeners::open(std::uint64_t id, const config::Listener& listener,
                                   const std::string& address) {
  Open out{.id = id,
           .name = listener.name,
           .address = address,
           .speaks_tls = listener.tls.enabled,
           .entrance = nullptr,
           .http = nullptr,
           .tcp = nullptr};
  auto fd = socket_of(address);
  if (!fd) return std::unexpected(std::move(fd.error()));
  if (listener.is_tcp()) {
    out.tcp =
        std::make_unique<TcpListener>(gateway_, resolver_, listener, std::move(*fd), registry_);
  } else {
    out.entrance = std::make_unique<Entrance>(gateway_, id);
    out.http = http::Listener::create(gateway_.worker(), std::move(*fd), server_limits(listener),
                                      *out.entrance, registry_);
    use_certificates(out);
  }
  open_.push_back(std::move(out));
  return {};
}

Result<net::Fd> WorkerListeners::socket_of(const std::string& address) {
  for (const Open& item : open_) {
    if (item.address != address) continue;
    net::Fd fd = item.http ? item.http->release() : item.tcp->release();
    if (fd) return fd;
  }
  return net::listen_socket(address);
}

void WorkerListeners::update(std::uint64_t id, const config::Listener& listener) {
  Open* const found = find(id);
  if (found == nullptr) return;
  if (found->http) {
    found->http->set_limits(server_limits(listener));
  } else {
    found->tcp->set_limits(listener.limits);
  }
}

void WorkerListeners::retire(std::uint64_t id, std::chrono::nanoseconds timeout) {
  Open* const found = find(id);
  if (found == nullptr) return;
  found->retired_until = gateway_.worker().now() + timeout.count();
  if (found->http) {
    found->http->stop_accepting();
    found->http->drain();
  } else {
    found->tcp->retire();
  }
  sweep();
}

WorkerListeners::Open* WorkerListeners::find(std::uint64_t id) {
  const auto found = std::ranges::find(open_, id, &Open::id);
  return found != open_.end() ? &*found : nullptr;
}

// A listener goes one round after its last connection, which nothing refers to by then.
void WorkerListeners::sweep() {
  bool waiting = false;
  std::erase_if(open_, [&](Open& item) {
    if (item.retired_until == 0) return false;
    if (item.ended()) return true;
    if (item.http && gateway_.worker().now() >= item.retired_until) cut_off(item);
    waiting = true;
    return false;
  });
  if (waiting) sweep_timer_.arm(gateway_.worker().timers(), kSweep, [this] { sweep(); });
}

void WorkerListeners::cut_off(Open& item) {
  if (!std::exchange(item.gave_up, true) && gateway_.end_exchanges(item.id)) {
    item.retired_until = gateway_.worker().now() + to_nanoseconds(Exchange::kFarewell + kSweep);
  } else {
    item.http->abort();
  }
}

void WorkerListeners::follow() {
  for (const Open& item : open_) {
    if (item.tcp) item.tcp->follow();
    use_certificates(item);
  }
}

void WorkerListeners::use_certificates(const Open& item) const {
  if (!item.http || !item.speaks_tls || gateway_.current() == nullptr) return;
  if (auto tls = gateway_.current()->snapshot->tls().listener(item.name)) {
    item.http->use_tls(std::move(tls));
  }
}

void WorkerListeners::stop_accepting() {
  for (const Open& item : open_)
    item.http ? item.http->stop_accepting() : item.tcp->stop_accepting();
}

void WorkerListeners::drain() {
  for (const Open& item : open_) {
    if (item.http) item.http->drain();
  }
}

void WorkerListeners::give_up() {
  for (Open& item : open_) {
    item.retired_until = gateway_.worker().now();
    if (item.tcp) item.tcp->give_up();
  }
  sweep();
}

void WorkerListeners::abort() {
  sweep_timer_.cancel();
  for (const Open& item : open_) item.http ? item.http->abort() : item.tcp->abort();
}

bool WorkerListeners::ended() const {
  return std::ranges::all_of(open_, &Open::ended);
}

std::size_t WorkerListeners::tcp_connections() const {
  std::size_t sum = 0;
  for (const Open& item : open_) sum += item.tcp ? item.tcp->connections() : 0;
  return sum;
}

}  // namespace heddle::gateway
