#include "cli/gateway_view.h"

#include <algorithm>

namespace heddle::cli {
namespace {

std::vector<std::pair<std::string, std::string>> pairs(const std::vector<config::Match>& matches) {
  std::vector<std::pair<std::string, std::string>> out;
  out.reserve(matches.size());
  for (const config::Match& match : matches) out.emplace_back(match.name, match.value);
  return out;
}

std::uint64_t count(const metrics::Gauge& gauge) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(gauge.value(), 0));
}

std::string_view name_of(gateway::Circuit::State state) {
  switch (state) {
    case gateway::Circuit::State::kClosed:
      return "closed";
    case gateway::Circuit::State::kOpen:
      return "open";
    case gateway::Circuit::State::kHalfOpen:
      return "half_open";
  }
  return "";
}

admin::EndpointView describe(const gateway::EndpointEntry& entry) {
  using gateway::EndpointState;
  const EndpointState& state = *entry.state;
  admin::EndpointView out;
  out.address = state.address();
  out.host = entry.host;
  out.weight = entry.weight;
  out.healthy = state.usable();
  if (state.has(EndpointState::kUnhealthy)) {
    out.state = "unhealthy";
  } else if (state.has(EndpointState::kEjected)) {
    out.state = "ejected";
  }
  out.active_connections = count(*state.active);
  out.failures = state.failures->value();
  out.ejections = state.ejections->value();
  return out;
}

void describe(gateway::UpstreamState& state, admin::UpstreamView& view) {
  std::size_t usable = 0;
  for (const gateway::EndpointEntry& entry : state.endpoints()->entries) {
    view.endpoints.push_back(describe(entry));
    usable += view.endpoints.back().healthy ? 1 : 0;
  }
  if (usable < view.endpoints.size()) {
    view.health_status = usable > 0 ? "degraded" : "unhealthy";
  }
  view.circuit_state = name_of(state.circuit().state());
  view.active_requests = count(*state.counters().active);
  view.pending_requests = count(*state.counters().pending);
  view.retries = state.counters().retries->value();
}

}  // namespace

GatewayView::GatewayView(metrics::Registry& metrics, std::size_t workers)
    : connections_(metrics.gauge("heddle_downstream_connections_active",
                                 "Client connections that are open", {})),
      exchanges_(metrics.gauge("heddle_exchanges_active", "Exchanges that have not ended", {})),
      snapshots_(metrics.gauge(
          "heddle_snapshots_live",
          "Configuration snapshots in use: the current one and those that exchanges still hold",
          {})),
      reloads_(metrics.counter("heddle_config_reloads_total", "Reloads of the configuration",
                               {{"result", "applied"}})),
      failed_reloads_(metrics.counter("heddle_config_reloads_total", "Reloads of the configuration",
                                      {{"result", "refused"}})),
      reload_succeeded_(metrics.gauge("heddle_config_last_reload_successful",
                                      "1 unless the last reload of the configuration was refused",
                                      {})),
      loaded_at_(metrics.gauge("heddle_config_last_success_timestamp_seconds",
                               "When the configuration in force was taken", {})),
      workers_(workers) {
  reload_.loaded_at = wall_now();
  loaded_at_->set(reload_.loaded_at / 1'000'000'000);
  reload_succeeded_->set(1);
}

void GatewayView::note_reload(std::string error) {
  const std::lock_guard lock(mutex_);
  reload_.attempted_at = wall_now();
  reload_.succeeded = error.empty();
  reload_.error = std::move(error);
  reload_succeeded_->set(reload_.succeeded ? 1 : 0);
  if (!reload_.succeeded) {
    ++reload_.failures;
    failed_reloads_->add();
    return;
  }
  ++reload_.reloads;
  reload_.loaded_at = reload_.attempted_at;
  reloads_->add();
  loaded_at_->set(reload_.loaded_at / 1'000'000'000);
}

admin::ReloadView GatewayView::reload() const {
  const std::lock_guard lock(mutex_);
  return reload_;
}

void GatewayView::publish(std::shared_ptr<const gateway::Snapshot> snapshot,
                          std::shared_ptr<const config::Config> config) {
  const std::lock_guard lock(mutex_);
  snapshot_ = std::move(snapshot);
  config_ = std::move(config);
  ++version_;
}

std::shared_ptr<const config::Config> GatewayView::config() const {
  const std::lock_guard lock(mutex_);
  return config_;
}

std::shared_ptr<const gateway::Snapshot> GatewayView::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

std::vector<admin::RouteView> GatewayView::routes() const {
  std::vector<admin::RouteView> out;
  const auto snapshot = this->snapshot();
  if (!snapshot) return out;
  for (const gateway::RouteEntry& entry : snapshot->routes()) {
    const config::Route& route = *entry.route;
    admin::RouteView view;
    view.id = route.id;
    view.host = route.host;
    view.path = route.path;
    view.methods = route.methods;
    view.headers = pairs(route.headers);
    view.query_params = pairs(route.query_params);
    view.upstream = route.upstream;
    for (const gateway::ChainEntry& plugin : entry.chain)
      view.plugins.push_back(plugin.factory->name());
    view.strip_prefix = route.strip_prefix;
    view.timeout = route.timeout;
    view.priority = route.priority;
    view.unavailable = entry.unavailable;
    out.push_back(std::move(view));
  }
  return out;
}

std::vector<admin::UpstreamView> GatewayView::upstreams() const {
  std::vector<admin::UpstreamView> out;
  const auto snapshot = this->snapshot();
  if (!snapshot) return out;
  for (const gateway::UpstreamEntry& entry : snapshot->upstreams()) {
    admin::UpstreamView view;
    view.name = entry.upstream->name;
    view.builtin = entry.upstream->builtin;
    view.load_balancer = entry.upstream->load_balancer;
    if (const auto state = manager_ != nullptr ? manager_->find(view.name) : nullptr) {
      describe(*state, view);
    }
    out.push_back(std::move(view));
  }
  return out;
}

admin::GatewayCounts GatewayView::counts() const {
  admin::GatewayCounts out;
  out.workers = workers_;
  out.connections = count(*connections_);
  out.exchanges = count(*exchanges_);
  out.snapshots = count(*snapshots_);
  const std::lock_guard lock(mutex_);
  out.snapshot_version = version_;
  return out;
}

}  // namespace heddle::cli
