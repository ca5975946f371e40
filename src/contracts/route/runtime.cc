#include "contracts/route/runtime.h"

#include <algorithm>
#include <boost/json.hpp>

#include "contracts/route/manifest.h"

namespace heddle::route {
namespace {

namespace json = boost::json;

// What only modules of the current Orbis SDK have.
bool speaks_current_dialect(const sandbox::Module& module) {
  if (module.find_export("allocate") != nullptr) return true;
  return std::ranges::any_of(module.imports(), [](const sandbox::Import& import) {
    const std::size_t count = import.type.parameters.size();
    return import.module == "env" &&
           (import.name == "log" || import.name.starts_with("state_") ||
            import.name == "get_config" || import.name.starts_with("crypto_") ||
            (import.name.starts_with("db_") && count == 4) ||
            (import.name == "http_request" && count == 8));
  });
}

services::SqlAccess access_of(std::string_view setting) {
  if (setting == "write") return services::SqlAccess::kWrite;
  return setting == "read" ? services::SqlAccess::kRead : services::SqlAccess::kNone;
}

std::string_view limit_of(sandbox::TrapReason reason) {
  switch (reason) {
    case sandbox::TrapReason::kCpuLimit:
      return "cpu_limit";
    case sandbox::TrapReason::kMemoryLimit:
      return "memory_limit";
    case sandbox::TrapReason::kTableLimit:
      return "table_elements";
    case sandbox::TrapReason::kHostCallLimit:
      return "host_calls";
    default:
      return {};
  }
}

}  // namespace

Runtime::Runtime(const Dependencies& dependencies, const extension::PluginSpec& spec,
                 const sandbox::Module& module, const RouteManifest& manifest)
    : spec_(spec),
      services_(dependencies.services),
      log_(dependencies.log),
      metrics_(dependencies.metrics),
      slot_line_(dependencies.engine.slot_line()),
      current_dialect_(speaks_current_dialect(module)),
      sql_access_(access_of(spec.sql_access)),
      http_permissions_(std::make_shared<const services::HttpPermissions>(services::HttpPermissions{
          .hosts = spec.permitted_hosts, .private_networks = spec.private_networks})) {
  read_config(manifest);
  const metrics::Labels labels{{"plugin", spec_.name}};
  duration_ = metrics_.histogram("heddle_plugin_call_duration_seconds",
                                 "Wall time of a plugin's callbacks.", labels,
                                 metrics::guest_call_bounds(), 1e-9);
  cpu_ = metrics_.counter("heddle_plugin_cpu_microseconds_total",
                          "CPU time that a plugin's callbacks took.", labels);
  exchanges_ =
      metrics_.counter("heddle_plugin_exchanges_total", "Exchanges that a plugin saw.", labels);
  instances_gauge_ = metrics_.gauge("heddle_plugin_instances", "Instances of a plugin.", labels);
  memory_gauge_ = metrics_.gauge("heddle_plugin_memory_bytes",
                                 "Linear memory of a plugin's instances.", labels);
  const auto add = [&](std::string_view handler) {
    calls_.try_emplace(
        std::string(handler),
        metrics_.counter("heddle_plugin_calls_total", "Calls of a plugin's callbacks.",
                         {{"plugin", spec_.name}, {"callback", std::string(handler)}}));
  };
  for (const ManifestRoute& route : manifest.routes) add(route.handler);
  for (const ManifestEvent& event : manifest.events) add(event.handler);
  add("execute");
}

Runtime::~Runtime() = default;

// The entry's configuration over the manifest's, key by key.
void Runtime::read_config(const RouteManifest& manifest) {
  boost::system::error_code failed;
  json::value merged = json::parse(manifest.config, failed);
  if (failed || !merged.is_object()) merged = json::object();
  if (spec_.configuration) {
    json::value own = json::parse(*spec_.configuration, failed);
    if (!failed && own.is_object()) {
      for (const auto& [key, value] : own.get_object()) merged.get_object()[key] = value;
    }
  }
  for (const auto& [key, value] : merged.get_object()) {
    config_.emplace(std::string(key), json::serialize(value));
  }
  config_.insert_or_assign(std::string(), json::serialize(merged));
}

const std::string* Runtime::config(std::string_view key) const {
  const auto found = config_.find(key);
  return found == config_.end() ? nullptr : &found->second;
}

sandbox::Limits Runtime::limits() const {
  sandbox::Limits out;
  if (spec_.memory_limit > 0) out.memory = spec_.memory_limit;
  if (spec_.host_calls > 0) out.host_calls = spec_.host_calls;
  if (spec_.cpu_limit.count() > 0) out.cpu = spec_.cpu_limit;
  return out;
}

bool Runtime::admit_line() {
  const std::int64_t now = monotonic_now() / 1'000'000'000;
  std::int64_t second = second_.load(std::memory_order_relaxed);
  if (second != now && second_.compare_exchange_strong(second, now)) {
    lines_ = 0;
    if (const std::uint64_t dropped = dropped_.exchange(0); dropped > 0) {
      log_.warn("log lines of a plugin were dropped (log_lines_per_second)",
                {{"plugin", spec_.name}, {"version", spec_.version}, {"dropped", dropped}});
    }
  }
  if (lines_.fetch_add(1, std::memory_order_relaxed) < spec_.log_lines_per_second) return true;
  ++dropped_;
  count_limit("log_lines_per_second");
  return false;
}

void Runtime::guest_line(LogLevel level, std::string_view text, std::string_view request_id) {
  if (!log_.enabled(level) || !admit_line()) return;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.size() > spec_.log_line_bytes) {
    count_limit("log_line_bytes");
    text = text.substr(0, spec_.log_line_bytes);
  }
  log(level, text, request_id);
}

void Runtime::log(LogLevel level, std::string_view message, std::string_view request_id) {
  const LogField plugin("plugin", spec_.name);
  const LogField version("version", spec_.version);
  if (request_id.empty()) return log_.write(level, message, {plugin, version});
  log_.write(level, message, {plugin, version, {"request_id", request_id}});
}

void Runtime::count_call(std::string_view handler, const sandbox::CallCost& cost) {
  if (const auto counter = calls_.find(handler); counter != calls_.end()) counter->second->add();
  duration_->observe(static_cast<std::uint64_t>(cost.wall.count()));
  // Whole microseconds, of which a short call has few: what is left over counts with the next.
  const auto before = cpu_ns_.fetch_add(static_cast<std::uint64_t>(cost.cpu.count()));
  const auto after = before + static_cast<std::uint64_t>(cost.cpu.count());
  cpu_->add(after / 1000 - before / 1000);
  ++call_count_;
  call_ns_ += static_cast<std::uint64_t>(cost.wall.count());
}

void Runtime::count_error(std::string_view reason, std::string message) {
  ++errors_;
  metrics_
      .counter("heddle_plugin_errors_total", "Failures of a plugin, by reason.",
               {{"plugin", spec_.name}, {"reason", std::string(reason)}})
      ->add();
  const std::lock_guard lock(mutex_);
  last_error_ = std::move(message);
}

void Runtime::count_limit(std::string_view limit) {
  ++limit_hits_;
  metrics_
      .counter("heddle_plugin_limit_hits_total", "How often a plugin met a limit.",
               {{"plugin", spec_.name}, {"limit", std::string(limit)}})
      ->add();
}

void Runtime::count_trap(const sandbox::Trap& trap, std::string_view request_id) {
  const std::string message = "plugin failed in " + sandbox::to_string(trap);
  log_.write(LogLevel::kError, message,
             {{"plugin", spec_.name},
              {"version", spec_.version},
              {"request_id", request_id},
              {"reason", sandbox::to_string(trap.reason)},
              {"callback", trap.function},
              {"backtrace", trap.backtrace}});
  count_error(sandbox::to_string(trap.reason), message);
  if (const auto limit = limit_of(trap.reason); !limit.empty()) count_limit(limit);
}

void Runtime::count_instances(std::int64_t delta, std::int64_t bytes) {
  instances_ += delta;
  memory_ += bytes;
  instances_gauge_->add(delta);
  memory_gauge_->add(bytes);
}

extension::PluginStats Runtime::stats() const {
  extension::PluginStats out;
  out.calls = call_count_;
  out.errors = errors_;
  out.exchanges = exchange_count_;
  out.cpu_seconds = static_cast<double>(cpu_ns_.load()) / 1e9;
  out.average_call_us =
      out.calls == 0 ? 0
                     : static_cast<double>(call_ns_.load()) / 1e3 / static_cast<double>(out.calls);
  out.memory_bytes = static_cast<std::uint64_t>(memory_.load());
  out.instances = static_cast<std::uint64_t>(instances_.load());
  out.limit_hits = limit_hits_;
  const std::lock_guard lock(mutex_);
  out.last_error = last_error_;
  return out;
}

}  // namespace heddle::route
