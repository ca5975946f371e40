// GET /plugins, /plugins/{name}, /events; POST /plugins/{name}/reload, /enable, /disable, /execute.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/json.hpp>
#include <utility>

#include "admin/handlers.h"
#include "base/json_parse.h"
#include "config/json.h"
#include "plugins/registry.h"
#include "sandbox/module.h"

namespace heddle::admin {
namespace {

namespace json = boost::json;
using plugins::PluginInfo;

constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20U;

json::value config_value(const PluginInfo& info) {
  if (!info.entry.configuration) return json::object{};
  const std::string text = config::redact_payload(*info.entry.configuration);
  boost::system::error_code error;
  json::value out = parse_json(text, error);
  if (error) out = text;
  return out;
}

// What an entry leaves to the kind of plugin is known when a version is loaded.
json::value known(std::int64_t limit) {
  return limit == 0 ? json::value(nullptr) : json::value(limit);
}

json::value megabytes(std::uint64_t bytes) {
  if (bytes % kMegabyte == 0) return bytes / kMegabyte;
  return static_cast<double>(bytes) / static_cast<double>(kMegabyte);
}

json::value stats_value(const PluginInfo& info) {
  const extension::PluginStats stats =
      info.plugin ? info.plugin->stats() : extension::PluginStats{};
  return {{"calls", stats.calls},
          {"errors", stats.errors},
          {"exchanges", stats.exchanges},
          {"cpu_seconds", stats.cpu_seconds},
          {"average_call_us", stats.average_call_us},
          {"memory_bytes", stats.memory_bytes},
          {"instances", stats.instances},
          {"limit_hits", stats.limit_hits}};
}

// The fields of Loom's list, plus kind, state and stats.
json::object summary(const PluginInfo& info) {
  const auto phases = fmt::format("{}", fmt::join(info.entry.phases, ","));
  json::value loaded_at = nullptr;
  if (info.loaded_at != 0) loaded_at = json::value(timestamp(info.loaded_at));
  return {{"name", info.entry.name},
          {"kind", info.kind},
          {"path", info.entry.path},
          {"phase", phases.empty() ? "all" : phases},
          {"priority", info.entry.priority},
          {"version", info.version},
          {"state", plugins::to_string(info.state)},
          {"loaded_at", loaded_at},
          {"memory_limit_mb", megabytes(info.entry.memory_limit)},
          {"timeout_ms", known(info.entry.timeout.count())},
          {"config", config_value(info)},
          {"vm_id", info.entry.vm_id},
          {"stats", stats_value(info)}};
}

std::string type_text(sandbox::ExternKind kind, const sandbox::FunctionType& type) {
  return kind == sandbox::ExternKind::kFunction ? sandbox::to_string(type)
                                                : std::string(sandbox::to_string(kind));
}

json::array exports_of(const PluginInfo& info) {
  json::array out;
  if (!info.module) return out;
  for (const sandbox::Export& item : info.module->exports()) {
    out.push_back({{"name", item.name}, {"type", type_text(item.kind, item.type)}});
  }
  return out;
}

json::array imports_of(const PluginInfo& info) {
  json::array out;
  if (!info.module) return out;
  for (const sandbox::Import& item : info.module->imports()) {
    out.push_back(
        {{"module", item.module}, {"name", item.name}, {"type", type_text(item.kind, item.type)}});
  }
  return out;
}

json::array strings(const std::vector<std::string>& values) {
  json::array out(values.begin(), values.end());
  return out;
}

std::string_view policy_name(config::OnFailure policy) {
  switch (policy) {
    case config::OnFailure::kClosed:
      return "closed";
    case config::OnFailure::kOpen:
      return "open";
    case config::OnFailure::kReload:
      return "reload";
  }
  return "closed";
}

json::object details(const PluginInfo& info) {
  const config::Plugin& entry = info.entry;
  json::object out = summary(info);
  json::value last_error = nullptr;
  if (!info.last_error.empty()) {
    last_error = json::value(info.last_error);
  } else if (info.plugin) {
    if (const std::string error = info.plugin->stats().last_error; !error.empty()) {
      last_error = json::value(error);
    }
  }
  json::array environment;  // names only: values may be secrets
  for (const auto& [name, value] : entry.environment) environment.push_back(json::value(name));
  out["last_error"] = std::move(last_error);
  out["sha256"] = info.sha256;
  out["on_failure"] = policy_name(entry.on_failure);
  out["from_directory"] = info.from_directory;
  out["root_id"] = entry.root_id;
  out["environment"] = std::move(environment);
  const config::Permissions& permissions = entry.permissions;
  out["permissions"] = {{"http", strings(permissions.http)},
                        {"private_networks", strings(permissions.private_networks)},
                        {"shared_data", permissions.shared_data},
                        {"sql", permissions.sql},
                        {"state", permissions.state},
                        {"events", permissions.events},
                        {"plugins", strings(permissions.plugins)},
                        {"environment", strings(permissions.environment)},
                        {"foreign_functions", strings(permissions.foreign_functions)},
                        {"capabilities", strings(permissions.capabilities)}};
  out["limits"] = {{"memory_bytes", entry.memory_limit},
                   {"timeout_ms", known(entry.timeout.count())},
                   {"buffer_bytes", entry.buffer_limit},
                   {"log_lines_per_second", entry.log_lines_per_second},
                   {"log_line_bytes", entry.log_line_bytes},
                   {"host_calls", known(static_cast<std::int64_t>(entry.host_calls))},
                   {"outbound_calls", entry.outbound_calls}};
  out["exports"] = exports_of(info);
  out["imports"] = imports_of(info);
  return out;
}

Response no_such_plugin(const std::string& name) {
  return error_response(404, "plugin_not_found", fmt::format("no plugin is named {}", name));
}

// 404, or 422 with the reason and the version that goes on serving.
Response failure(const ApiDependencies& api, const std::string& name, std::string_view code,
                 const Error& error) {
  const auto info = api.registry.find(name);
  if (error.kind == ErrorKind::kNotFound || !info) return no_such_plugin(name);
  json::value serving = nullptr;
  if (info->version != 0) serving = info->version;
  return json_response({{"error", {{"code", code}, {"message", error.message}}},
                        {"plugin", name},
                        {"serving_version", serving}},
                       422);
}

void switch_plugin(const ApiDependencies& api, const Call& call, Respond respond, bool on) {
  api.run_on_control([&api, name = call.name, respond = std::move(respond), on]() mutable {
    const auto done = on ? api.registry.enable(name) : api.registry.disable(name);
    if (!done)
      return respond(failure(api, name, on ? "enable_failed" : "disable_failed", done.error()));
    const auto info = api.registry.find(name);
    if (!info) return respond(no_such_plugin(name));
    respond(json_response({{"message", on ? "Plugin enabled" : "Plugin disabled"},
                           {"plugin", name},
                           {"state", plugins::to_string(info->state)},
                           {"version", info->version}}));
  });
}

}  // namespace

void list_plugins(const ApiDependencies& api, const Call&, Respond respond) {
  json::array out;
  for (const PluginInfo& info : api.registry.list()) out.push_back(summary(info));
  respond(json_response(out));
}

void show_plugin(const ApiDependencies& api, const Call& call, Respond respond) {
  const auto info = api.registry.find(call.name);
  respond(info ? json_response(details(*info)) : no_such_plugin(call.name));
}

void reload_plugin(const ApiDependencies& api, const Call& call, Respond respond) {
  api.run_on_control([&api, name = call.name, respond = std::move(respond)]() mutable {
    const auto done = api.registry.reload(name);
    if (!done) return respond(failure(api, name, "reload_failed", done.error()));
    respond(json_response({{"message", "Plugin reloaded successfully"},
                           {"plugin", done->plugin},
                           {"old_version", done->old_version},
                           {"new_version", done->new_version},
                           {"reloaded_at", timestamp(done->reloaded_at)}}));
  });
}

void enable_plugin(const ApiDependencies& api, const Call& call, Respond respond) {
  switch_plugin(api, call, std::move(respond), true);
}

void disable_plugin(const ApiDependencies& api, const Call& call, Respond respond) {
  switch_plugin(api, call, std::move(respond), false);
}

void execute_plugin(const ApiDependencies& api, const Call& call, Respond respond) {
  if (!api.execute_plugin) {
    return respond(error_response(501, "not_offered", "execute() cannot be run here"));
  }
  api.run_on_control([&api, name = call.name, respond = std::move(respond)]() mutable {
    if (!api.registry.find(name)) return respond(no_such_plugin(name));
    api.execute_plugin(
        name, [name, respond = std::move(respond)](Result<std::int32_t> result) mutable {
          if (!result) {
            return respond(json_response(
                {{"error", {{"code", "execute_failed"}, {"message", result.error().message}}},
                 {"plugin", name}},
                422));
          }
          respond(json_response({{"plugin", name}, {"result", *result}}));
        });
  });
}

void list_events(const ApiDependencies& api, const Call&, Respond respond) {
  json::array events;
  for (const plugins::Event& event : api.registry.events()) {
    events.push_back({{"time", timestamp(event.time)},
                      {"plugin", event.plugin},
                      {"event", event.what},
                      {"message", event.message}});
  }
  const std::size_t count = events.size();
  respond(json_response({{"events", std::move(events)}, {"count", count}}));
}

}  // namespace heddle::admin
