#include "gateway/gateway_worker.h"

#include "gateway/exchange.h"
#include "gateway/forwarding.h"
#include "gateway/origin_echo.h"
#include "gateway/origin_upstream.h"
#include "gateway/tcp_listener.h"

namespace heddle::gateway {

GatewayMetrics::GatewayMetrics(metrics::Registry& registry)
    : active(registry.gauge("heddle_exchanges_active", "Exchanges that have not ended", {})),
      bad_requests(
          registry.counter("heddle_bad_requests_total",
                           "Requests refused before routing: malformed, too large, too slow", {})),
      logs_dropped(
          registry.counter("heddle_plugin_logs_dropped_total",
                           "Exchanges whose on_log was dropped since too many were waiting", {})),
      timeouts(registry.counter("heddle_request_timeouts_total",
                                "Exchanges ended by the route's timeout", {})) {}

GatewayWorker::GatewayWorker(net::Worker& worker, net::BlockingPool& blocking, Log& log,
                             metrics::Registry& metrics)
    : worker_(worker),
      log_(log),
      registry_(metrics),
      metrics_(metrics),
      pool_(http::ClientPool::create(worker, blocking, metrics)),
      resolver_(worker, blocking),
      access_log_(log) {}

GatewayWorker::~GatewayWorker() = default;

void GatewayWorker::use(std::shared_ptr<const Snapshot> snapshot,
                        const std::vector<std::shared_ptr<UpstreamState>>& states) {
  if (!snapshot) {
    current_.reset();
    return;
  }
  auto bound = std::make_shared<BoundSnapshot>();
  for (std::size_t i = 0; i < snapshot->upstreams().size(); ++i) {
    const config::Upstream& upstream = *snapshot->upstreams()[i].upstream;
    if (upstream.builtin == "echo") {
      bound->origins.push_back(std::make_unique<EchoOrigin>());
    } else {
      bound->origins.push_back(
          std::make_unique<UpstreamOrigin>(upstream, states.at(i), *pool_, worker_));
    }
  }
  bound->snapshot = std::move(snapshot);
  current_ = std::move(bound);
  for (const auto& listener : tcp_listeners_) listener->follow();
  use_certificates();
}

// A listener that the new configuration does not have keeps what it had.
void GatewayWorker::use_certificates() {
  for (const auto& [name, listener] : tls_listeners_) {
    if (auto tls = current_->snapshot->tls().listener(name)) listener->use_tls(std::move(tls));
  }
}

namespace {

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

}  // namespace

Result<void> GatewayWorker::listen(const config::Listener& listener, const std::string& address) {
  if (listener.is_tcp()) {
    auto fd = net::listen_socket(address);
    if (!fd) return std::unexpected(std::move(fd.error()));
    tcp_listeners_.push_back(
        std::make_unique<TcpListener>(*this, resolver_, listener, std::move(*fd), registry_));
    return {};
  }
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
  auto created = http::Listener::create(worker_, address, limits, *this, registry_);
  if (!created) return std::unexpected(std::move(created.error()));
  listeners_.push_back(std::move(*created));
  if (listener.tls.enabled) {
    tls_listeners_.emplace_back(listener.name, listeners_.back().get());
    use_certificates();
  }
  return {};
}

void GatewayWorker::stop_accepting() {
  for (const auto& listener : listeners_) listener->stop_accepting();
  for (const auto& listener : tcp_listeners_) listener->stop_accepting();
}

void GatewayWorker::drain() {
  for (const auto& listener : listeners_) listener->drain();
}

void GatewayWorker::abort() {
  for (const auto& listener : listeners_) listener->abort();
  for (const auto& listener : tcp_listeners_) listener->abort();
  pool_->close_idle();
}

std::size_t GatewayWorker::exchanges() const {
  std::size_t sum = active_;
  for (const auto& listener : tcp_listeners_) sum += listener->connections();
  return sum;
}

std::size_t GatewayWorker::connections() const {
  std::size_t sum = 0;
  for (const auto& listener : tcp_listeners_) sum += listener->connections();
  for (const auto& listener : listeners_) sum += listener->connections();
  return sum;
}

http::Receiver* GatewayWorker::on_request(http::Sender& sender,
                                          const http::ConnectionInfo& connection,
                                          http::HeadPtr head, bool end) {
  if (free_.empty()) {
    all_.push_back(std::make_unique<Exchange>(*this));
    free_.push_back(all_.back().get());
  }
  Exchange* exchange = free_.back();
  free_.pop_back();
  ++active_;
  metrics_.active->add(1);
  exchange->begin(sender, connection, std::move(head), end);
  return exchange;
}

std::string GatewayWorker::on_bad_request(const http::ConnectionInfo& connection, int status,
                                          std::string_view reason) {
  metrics_.bad_requests->add();
  log_.info("bad request",
            {{"remote", connection.remote_address}, {"status", status}, {"reason", reason}});
  return error_body("bad_request", reason, {});
}

void GatewayWorker::ended(Exchange& exchange) {
  --active_;
  metrics_.active->add(-1);
  late_.push_back(&exchange);
  schedule_late();
}

void GatewayWorker::write_access(const telemetry::ConnectionRecord& record) {
  access_log_.write(record);
  schedule_late();
}

void GatewayWorker::schedule_late() {
  if (late_scheduled_) return;
  late_scheduled_ = true;
  worker_.post([this] {
    late_scheduled_ = false;
    run_late(kLateBatch);
  });
}

void GatewayWorker::run_late(std::size_t limit) {
  // Beyond the limit the oldest lose their on_log, so that memory stays bounded.
  while (late_.size() - late_next_ > kLateLimit) {
    metrics_.logs_dropped->add();
    late_[late_next_++]->write_log(true);
  }
  for (std::size_t i = 0; i < limit && late_next_ < late_.size(); ++i) {
    late_[late_next_++]->write_log(false);
  }
  access_log_.flush();
  if (late_next_ < late_.size()) {
    schedule_late();
  } else {
    late_.clear();
    late_next_ = 0;
  }
}

void GatewayWorker::finish_late_work() {
  run_late(static_cast<std::size_t>(-1));
}

void GatewayWorker::recycle(Exchange& exchange) {
  exchange.reset();
  free_.push_back(&exchange);
}

}  // namespace heddle::gateway
