#include "gateway/gateway_worker.h"

#include "gateway/exchange.h"
#include "gateway/forwarding.h"
#include "gateway/origin_echo.h"
#include "gateway/origin_upstream.h"

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
      metrics_(metrics),
      pool_(http::ClientPool::create(worker, blocking, metrics)),
      listeners_(*this, blocking, metrics),
      access_log_(log) {
  builtins_["echo"] = std::make_shared<EchoOrigin>();
}

GatewayWorker::~GatewayWorker() = default;

void GatewayWorker::set_builtin(const std::string& name, extension::HttpOrigin& origin) {
  builtins_[name] = {std::shared_ptr<void>(), &origin};  // not owned
}

void GatewayWorker::use(std::shared_ptr<const Snapshot> snapshot,
                        const std::vector<std::shared_ptr<UpstreamState>>& states) {
  if (!snapshot) {
    current_.reset();
    return;
  }
  auto bound = std::make_shared<BoundSnapshot>();
  for (std::size_t i = 0; i < snapshot->upstreams().size(); ++i) {
    const config::Upstream& upstream = *snapshot->upstreams()[i].upstream;
    if (!upstream.builtin.empty()) {
      bound->origins.push_back(builtins_.at(upstream.builtin));
    } else {
      bound->origins.push_back(std::make_shared<UpstreamOrigin>(
          std::shared_ptr<const config::Upstream>(snapshot->shared_config(), &upstream),
          states.at(i), *pool_, worker_));
    }
  }
  bound->snapshot = std::move(snapshot);
  current_ = std::move(bound);
  listeners_.follow();
  for (const auto& exchange : all_) exchange->follow();
}

bool GatewayWorker::end_exchanges(std::uint64_t listener) {
  bool tunnels = false;
  for (const auto& exchange : all_) tunnels |= exchange->leave(listener);
  return tunnels;
}

void GatewayWorker::abort() {
  listeners_.abort();
  pool_->close_idle();
}

http::Receiver* GatewayWorker::on_request(std::uint64_t listener, http::Sender& sender,
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
  exchange->begin(listener, sender, connection, std::move(head), end);
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
