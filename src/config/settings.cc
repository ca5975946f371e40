#include "config/settings.h"

#include <algorithm>
#include <array>

#include "config/settings_listeners.h"
#include "config/settings_messaging.h"
#include "config/settings_plugins.h"
#include "config/settings_routes.h"
#include "config/settings_services.h"
#include "config/settings_upstreams.h"

namespace heddle::config {
namespace {

using access::list;
using access::object;
using access::value;
using enum Type;
using enum Problem::Severity;
using namespace unit;

constexpr std::array<std::string_view, 2> kStrategies = {"cranelift", "pulley"};
constexpr std::array<std::string_view, 8> kLogLevels = {"trace", "debug", "info",     "warn",
                                                        "error", "off",   "critical", "warning"};
constexpr std::array<std::string_view, 2> kLogFormats = {"json", "text"};

// One row, two or three lines: the table is read as a table.
// clang-format off
constexpr Setting kEngine[] = {
    {.key = "cache_dir", .type = kPath, .member = value<&Engine::cache_dir>(),
     .shown_default = "$XDG_CACHE_HOME/heddle or ~/.cache/heddle", .example = "~/.cache/heddle",
     .help = "Folder of compiled code, owned by the user with mode 0700; empty: no cache.",
     .needs_restart = true},
    {.key = "strategy", .type = kChoice, .member = value<&Engine::strategy>(),
     .choices = kStrategies, .help = "Machine code, or the portable interpreter.",
     .needs_restart = true},
    {.key = "instances", .type = kInteger, .member = value<&Engine::instances>(), .min = 1,
     .max = 100'000, .help = "Most plugin instances of the process.", .needs_restart = true},
    {.key = "suspendable_instances", .type = kInteger,
     .member = value<&Engine::suspendable_instances>(), .min = 0, .max = 100'000,
     .help = "Most instances at a time, beside those, of plugins whose host calls may wait (route "
             "plugins, JSON-RPC plugins): requests that they work on at a time.",
     .needs_restart = true},
};

constexpr Setting kLogging[] = {
    {.key = "level", .type = kChoice, .member = value<&Logging::level>(), .choices = kLogLevels,
     .help = "Least level that is written."},
    {.key = "format", .type = kChoice, .member = value<&Logging::format>(),
     .choices = kLogFormats, .help = "One JSON object or one line of text per entry.",
     .needs_restart = true},
    {.key = "access_log", .type = kBoolean, .member = value<&Logging::access_log>(),
     .help = "Whether every request is logged."},
    {.key = "file", .type = kPath, .member = value<&Logging::file>(),
     .shown_default = "standard output", .example = "/var/log/heddle.log",
     .help = "File to append to.", .needs_restart = true},
};

constexpr Setting kPrometheus[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&Config::metrics_enabled>(),
     .help = "Whether metrics are served on the admin address."},
    {.key = "path", .member = value<&Config::metrics_path>(), .check = check_metrics_path,
     .help = "Path of the metrics; none of the admin API's own."},
};

constexpr Setting kMetrics[] = {
    {.key = "prometheus", .type = kObject, .rows = kPrometheus,
     .help = "Metrics for Prometheus."},
    {.key = "opentelemetry", .type = kLater, .help = "Metrics sent by OTLP."},
};

constexpr Setting kConfig[] = {
    {.key = "listeners", .type = kList, .member = list<&Config::listeners>(), .rows = listeners::kListener,
     .shown_default = "one at 127.0.0.1:8080", .help = "Where clients connect."},
    {.key = "admin", .type = kObject, .member = object<&Config::admin>(), .rows = listeners::kAdmin,
     .help = "The admin API."},
    {.key = "upstreams", .type = kList, .member = list<&Config::upstreams>(), .rows = upstreams::kUpstream,
     .shown_default = "echo, when there are no routes either",
     .help = "The servers that requests go to."},
    {.key = "routes", .type = kList, .member = list<&Config::routes>(), .rows = routes::kRoute,
     .shown_default = "/* to echo, when there are no upstreams either",
     .help = "Which requests go to which upstream."},
    {.key = "plugins", .type = kList, .member = list<&Config::plugins>(), .rows = plugins::kPlugin,
     .help = "The plugins; one that neither a route nor a TCP listener names runs on every route."},
    {.key = "plugin_directories", .type = kList, .member = list<&Config::plugin_directories>(),
     .rows = plugins::kPluginDirectory, .shorthand = "path", .example = "[{path: plugins, watch: true}]",
     .help = "Folders whose modules are all loaded."},
    {.key = "engine", .type = kObject, .member = object<&Config::engine>(), .rows = kEngine,
     .help = "The WebAssembly engine."},
    {.key = "logging", .type = kObject, .member = object<&Config::logging>(), .rows = kLogging,
     .help = "The process log."},
    {.key = "metrics", .type = kObject, .rows = kMetrics, .help = "Metrics."},
    {.key = "workers", .type = kInteger, .member = value<&Config::workers>(), .min = 0,
     .max = 256, .help = "Worker threads; 0 is one per core.", .needs_restart = true},
    {.key = "drain_timeout", .type = kDuration, .member = value<&Config::drain_timeout>(),
     .min = 0, .max = kDay,
     .help = "How long open exchanges may go on after a reload or a stop."},
    {.key = "data_dir", .type = kPath, .member = value<&Config::data_dir>(),
     .help = "Folder of databases and plugin state; relative to the working directory.",
     .needs_restart = true},
    {.key = "plugin_api", .type = kBoolean, .member = value<&Config::plugin_api>(),
     .help = "Whether GET /api/plugins, the pages of plugins and /openapi.json are answered; only "
             "while there are route plugins."},
    {.key = "watch_config", .type = kBoolean, .member = value<&Config::watch_config>(),
     .help = "Whether a change of the configuration's files takes effect at once; SIGHUP always does."},
    {.key = "sql", .type = kObject, .member = object<&Config::sql>(), .rows = services::kSql,
     .help = "Databases of plugins."},
    {.key = "state", .type = kObject, .member = object<&Config::state>(), .rows = services::kState,
     .help = "Key-value data of plugins."},
    {.key = "outbound_http", .type = kObject, .member = object<&Config::outbound_http>(),
     .rows = services::kOutboundHttp, .help = "HTTP requests of plugins to permitted hosts."},
    {.key = "events", .type = kObject, .member = object<&Config::events>(), .rows = services::kEvents,
     .help = "Events between plugins."},
    {.key = "auth", .type = kObject, .member = object<&Config::auth>(), .rows = services::kAuth,
     .help = "Who may use routes of plugins that ask for a user."},
    {.key = "messaging", .type = kObject, .member = object<&Config::messaging>(),
     .rows = messaging::kMessaging, .help = "The message service, served under /v1."},
    {.key = "storage", .type = kObject, .member = object<&Config::storage>(),
     .rows = messaging::kStorage, .help = "The database of the message service."},
    {.key = "redis", .type = kObject, .member = object<&Config::redis>(), .rows = services::kRedis,
     .help = "Redis; where it is given, the state of plugins is kept there, and servers that share a "
             "message service in PostgreSQL tell each other through it who has news."},
    {.key = "tracing", .type = kLater, .help = "Traces sent by OTLP."},
    {.key = "rate_limit", .type = kObject, .member = object<&Config::rate_limit>(),
     .rows = routes::kRateLimit, .help = "How often a client may ask."},
    {.key = "cors", .type = kObject, .member = object<&Config::cors>(), .rows = routes::kCors,
     .help = "Requests of pages of other origins."},
    {.key = "request_headers", .type = kObject, .member = object<&Config::request_headers>(),
     .rows = routes::kHeaderRules, .help = "Changes of the headers of every request."},
    {.key = "response_headers", .type = kObject, .member = object<&Config::response_headers>(),
     .rows = routes::kHeaderRules, .help = "Changes of the headers of every response."},
    {.key = "cache", .type = kLater, .help = "Response cache."},
    {.key = "ai_gateway", .type = kLater, .help = "Gateway of language models."},
};
// clang-format on

constexpr bool has_restart(std::span<const Setting> rows) {
  return std::ranges::any_of(
      rows, [](const Setting& row) { return row.needs_restart || has_restart(row.rows); });
}

// Every row reaches into the object that its table is used on, and what needs a restart is found
// without looking into lists (restart.cc).
constexpr bool fits(std::span<const Setting> rows, const void* owner) {
  for (const Setting& row : rows) {
    const bool reaches = row.member.owner != nullptr;
    if (reaches && row.member.owner != owner) return false;
    const bool nested = row.type == kObject || row.type == kList;
    if (!reaches && row.type != kLater && row.type != kObject) return false;
    if (row.type == kList && has_restart(row.rows)) return false;
    if (nested && !fits(row.rows, reaches ? row.member.item : owner)) return false;
  }
  return true;
}
static_assert(fits(kConfig, &access::kTag<Config>));

}  // namespace

std::span<const Setting> settings() {
  return kConfig;
}

}  // namespace heddle::config
