#include "gateway/upstream_probe.h"

#include <cstring>
#include <utility>

#include "gateway/upstream_maglev.h"
#include "gateway/upstream_retry.h"

namespace heddle::gateway {

ProbeMetrics::ProbeMetrics(const std::string& upstream, metrics::Registry& metrics) {
  const auto result = [&](std::string_view name) {
    return metrics.counter("heddle_upstream_health_checks_total", "Active health checks made",
                           {{"upstream", upstream}, {"result", std::string(name)}});
  };
  passed = result("passed");
  failed = result("failed");
}

UpstreamProbe::UpstreamProbe(net::Worker& worker, http::ClientPool& pool, net::Resolver& resolver,
                             std::shared_ptr<UpstreamState> state, EndpointEntry entry,
                             config::HealthCheck options, metrics::Registry& metrics)
    : worker_(worker),
      pool_(pool),
      resolver_(resolver),
      state_(std::move(state)),
      entry_(std::move(entry)),
      options_(std::move(options)),
      metrics_(state_->name(), metrics),
      random_(mix(hash_bytes(entry_.state->address()) + static_cast<std::uint64_t>(wall_now()))) {
  check();
}

UpstreamProbe::~UpstreamProbe() {
  if (stream_ != nullptr) stream_->reset(http::StreamError::kCancelled);
}

bool UpstreamProbe::is_for(const EndpointEntry& entry, const config::HealthCheck& options) const {
  return entry.state == entry_.state && entry.target == entry_.target && options == options_;
}

void UpstreamProbe::check() {
  timer_.arm(worker_.timers(), options_.timeout, [this] {
    const net::Worker::Scope scope(worker_);
    finish(false, "no answer within health_check.timeout");
  });
  if (options_.protocol == "tcp") {
    check_tcp();
  } else {
    check_http();
  }
}

void UpstreamProbe::check_http() {
  status_ = 0;
  http::ClientLimits limits;
  limits.connect_timeout = options_.timeout;
  limits.idle_timeout = options_.interval * 2 + options_.timeout;
  stream_ = &pool_.open(entry_.target, limits, *this);
  const http::HeadPtr head = http::make_head();
  head->headers.add_view(":method", "GET");
  head->headers.add(":path", options_.path);
  head->headers.add_view(":scheme", entry_.target.tls ? "https" : "http");
  head->headers.add(":authority", options_.host.empty() ? entry_.host : options_.host);
  head->headers.add_view("user-agent", "heddle-health-check");
  stream_->send_head(head->headers, true);
}

void UpstreamProbe::check_tcp() {
  socket_ = std::make_unique<net::TcpStream>(worker_, *this);
  const auto target = net::parse_host_port(entry_.target.endpoint);
  if (!target) {
    finish(false, target.error().message);
    return;
  }
  resolver_.resolve(
      target->host, target->port,
      [this, alive = std::weak_ptr(alive_)](const Result<net::Resolver::Addresses>& addresses) {
        if (alive.expired() || socket_ == nullptr) return;
        if (addresses) {
          socket_->connect(addresses->front());
        } else {
          finish(false, addresses.error().message);
        }
      });
}

void UpstreamProbe::on_head(http::HeadPtr head, bool /*end*/) {
  status_ = head->status();
}

void UpstreamProbe::on_reset(http::StreamError error, std::string_view detail) {
  stream_ = nullptr;
  finish(false, detail.empty() ? to_string(error) : detail);
}

void UpstreamProbe::on_complete() {
  stream_ = nullptr;
  const bool passed = matches_status(options_.expected_statuses, status_);
  finish(passed, passed ? "" : "status " + std::to_string(status_));
}

void UpstreamProbe::on_connect(int error) {
  finish(error == 0, error == 0 ? "" : std::strerror(error));
}

void UpstreamProbe::finish(bool passed, std::string_view reason) {
  if (stream_ != nullptr) {
    std::exchange(stream_, nullptr)->reset(http::StreamError::kCancelled);
  }
  if (socket_ != nullptr) socket_->close();
  (passed ? metrics_.passed : metrics_.failed)->add();
  passed_in_row_ = passed ? passed_in_row_ + 1 : 0;
  failed_in_row_ = passed ? 0 : failed_in_row_ + 1;
  if (passed_in_row_ >= options_.healthy_threshold) {
    state_->set_healthy(*entry_.state);
  } else if (failed_in_row_ >= options_.unhealthy_threshold) {
    state_->set_unhealthy(*entry_.state, reason);
  }
  check_later();
}

// Checks of many gateways and endpoints must not come together.
void UpstreamProbe::check_later() {
  random_ += 0x9E3779B97F4A7C15U;
  const double chance = static_cast<double>(mix(random_) >> 11U) * 0x1.0p-53;
  const auto interval = std::chrono::duration<double>(options_.interval) * (0.95 + chance / 10);
  timer_.arm(worker_.timers(), std::chrono::duration_cast<std::chrono::nanoseconds>(interval),
             [this] {
               const net::Worker::Scope scope(worker_);
               check();
             });
}

}  // namespace heddle::gateway
