// GET /info, /health, /ready, /metrics.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <utility>

#include "admin/handlers.h"
#include "telemetry/exposition.h"

namespace heddle::admin {
namespace {

namespace json = boost::json;

// "1h2m3s", as Loom (Go) writes a duration in whole seconds.
std::string duration_text(std::int64_t seconds) {
  std::string out;
  if (seconds >= 3600) out += fmt::format("{}h", seconds / 3600);
  if (seconds >= 60) out += fmt::format("{}m", seconds / 60 % 60);
  return out + fmt::format("{}s", seconds % 60);
}

// What is known of the configuration in force and of the last attempt to change it. The reason of a
// failure is not for everybody.
json::object reload_value(const ReloadView& reload, bool with_reason) {
  json::object out{{"loaded_at", timestamp(reload.loaded_at)},
                   {"reloads", reload.reloads},
                   {"failures", reload.failures},
                   {"last_reload", nullptr}};
  if (reload.attempted_at == 0) return out;
  json::object last{{"time", timestamp(reload.attempted_at)}, {"success", reload.succeeded}};
  if (!reload.succeeded && with_reason) last["error"] = reload.error;
  out["last_reload"] = std::move(last);
  return out;
}

}  // namespace

void show_info(const ApiDependencies& api, const Call&, Respond respond) {
  const GatewayCounts counts = api.gateway.counts();
  const std::int64_t uptime = (api.now() - api.started_at) / 1'000'000'000;
  respond(json_response({{"name", "heddle"},
                         {"version", HEDDLE_VERSION},
                         {"pid", getpid()},
                         {"uptime", duration_text(uptime)},
                         {"uptime_seconds", uptime},
                         {"workers", counts.workers},
                         {"routes", api.gateway.routes().size()},
                         {"upstreams", api.gateway.upstreams().size()},
                         {"plugins", api.registry.list().size()},
                         {"connections", counts.connections},
                         {"exchanges", counts.exchanges},
                         {"snapshots", counts.snapshots},
                         {"snapshot_version", counts.snapshot_version},
                         {"configuration", reload_value(api.gateway.reload(), true)}}));
}

void show_health(const ApiDependencies&, const Call&, Respond respond) {
  respond(json_response({{"status", "healthy"}}));
}

void show_ready(const ApiDependencies& api, const Call&, Respond respond) {
  const Phase phase = api.gateway.phase();
  if (phase == Phase::kServing) {
    return respond(json_response(
        {{"status", "ready"}, {"configuration", reload_value(api.gateway.reload(), false)}}));
  }
  const std::string_view status = phase == Phase::kDraining ? "draining" : "starting";
  respond(json_response(
      {{"status", status},
       {"error", {{"code", "not_ready"}, {"message", fmt::format("the gateway is {}", status)}}}},
      503));
}

void show_metrics(const ApiDependencies& api, const Call&, Respond respond) {
  if (const auto config = api.config(); config && !config->metrics_enabled) {
    return respond(error_response(
        404, "metrics_disabled", "metrics are switched off; set metrics.prometheus.enabled: true"));
  }
  Response out;
  out.content_type = telemetry::kMetricsContentType;
  out.body = telemetry::prometheus_text(api.metrics);
  respond(std::move(out));
}

}  // namespace heddle::admin
