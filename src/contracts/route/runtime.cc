#include "contracts/route/runtime.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/json_check.h"
#include "base/log.h"
#include "contracts/route/json_members.h"
#include "contracts/route/manifest.h"

namespace heddle::route {
namespace {

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

std::vector<std::string> callbacks_of(const RouteManifest& manifest) {
  std::vector<std::string> out{"execute"};
  for (const ManifestRoute& route : manifest.routes) out.push_back(route.handler);
  for (const ManifestEvent& event : manifest.events) out.push_back(event.handler);
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

}  // namespace

Runtime::Runtime(const Dependencies& dependencies, const extension::PluginSpec& spec,
                 const sandbox::Module& module, const RouteManifest& manifest)
    : spec_(spec),
      services_(dependencies.services),
      slot_line_(dependencies.engine.slot_line()),
      current_dialect_(speaks_current_dialect(module)),
      sql_access_(access_of(spec.sql_access)),
      http_permissions_(std::make_shared<const services::HttpPermissions>(services::HttpPermissions{
          .hosts = spec.permitted_hosts, .private_networks = spec.private_networks})),
      callbacks_(callbacks_of(manifest)),
      record_(dependencies.log, dependencies.metrics, spec,
              std::vector<std::string_view>(callbacks_.begin(), callbacks_.end()),
              {.sees_exchanges = true}) {
  read_config(manifest);
}

Runtime::~Runtime() = default;

// The entry's configuration over the manifest's, key by key.
void Runtime::read_config(const RouteManifest& manifest) {
  std::vector<std::string> keys;  // in the order in which they come
  const auto merge = [&](std::string_view text) {
    if (check_json(text, kMaxJsonDepth)) return;
    const std::string compact = compact_json(text);
    if (!compact.starts_with('{')) return;
    for (auto& [key, value] : json_members(compact)) {
      if (config_.insert_or_assign(key, value).second) keys.push_back(std::move(key));
    }
  };
  merge(manifest.config);
  if (spec_.configuration) merge(*spec_.configuration);
  std::string whole = "{";
  for (const std::string& key : keys) {
    if (whole.size() > 1) whole += ',';
    append_json_string(whole, key);
    whole += ':' + config_.at(key);
  }
  config_.insert_or_assign(std::string(), whole + '}');
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

void Runtime::count_call(std::string_view callback, const sandbox::CallCost& cost) {
  const auto found = std::ranges::lower_bound(callbacks_, callback);
  const bool named = found != callbacks_.end() && *found == callback;
  record_.call(named ? static_cast<std::size_t>(found - callbacks_.begin())
                     : extension::PluginRecord::kUnnamed,
               cost.wall.count());
  record_.cpu(static_cast<std::uint64_t>(cost.cpu.count()));
  if (cost.denied_memory) record_.limit_hit(sandbox::kMemoryLimitName);
}

void Runtime::count_trap(const sandbox::Trap& trap, std::string_view request_id) {
  std::string message = "plugin failed in " + sandbox::to_string(trap);
  record_.write(LogLevel::kError, message, LogField("request_id", request_id),
                LogField("reason", sandbox::to_string(trap.reason)),
                LogField("callback", trap.function), LogField("backtrace", trap.backtrace));
  record_.error(sandbox::to_string(trap.reason), std::move(message));
  if (const auto limit = sandbox::limit_of(trap.reason)) record_.limit_hit(*limit);
}

}  // namespace heddle::route
