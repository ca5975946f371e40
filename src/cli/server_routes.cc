// Plugins that answer routes and calls, as the server hands them to the gateway and the admin API.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cli/server.h"

namespace heddle::cli {

gateway::PluginBindings Server::plugin_bindings() const {
  return {.routes = route_plugins(), .calls = rpc_plugins()};
}

std::vector<gateway::RpcPluginBinding> Server::rpc_plugins() const {
  // Belongs to contracts_, which outlives the snapshots.
  const std::shared_ptr<extension::HttpOrigin> origin(std::shared_ptr<void>(),
                                                      &contracts_->rpc_origin());
  std::vector<gateway::RpcPluginBinding> out;
  for (const plugins::ActivePlugin& active : registry_->set()->plugins) {
    if (!active.enabled || active.kind != "json_rpc") continue;
    const auto target = active.plugin ? active.plugin->rpc_target() : nullptr;
    out.push_back({.name = active.name,
                   .origin = origin,
                   .timeout = target ? target->timeout() : std::chrono::milliseconds(0),
                   .error = active.error,
                   .filters = active.filters});
  }
  return out;
}

extension::RpcTargets::Map Server::rpc_targets() const {
  extension::RpcTargets::Map out;
  for (const plugins::ActivePlugin& active : registry_->set()->plugins) {
    if (!active.enabled || !active.plugin) continue;
    if (auto target = active.plugin->rpc_target()) out.emplace(active.name, std::move(target));
  }
  return out;
}

std::vector<gateway::RoutePluginBinding> Server::route_plugins() const {
  std::vector<gateway::RoutePluginBinding> out;
  for (const plugins::ActivePlugin& active : registry_->set()->plugins) {
    const bool answers =
        active.plugin ? active.plugin->route_plugin() != nullptr : active.kind == "route";
    if (!answers) continue;
    gateway::RoutePluginBinding binding;
    binding.name = active.name;
    binding.enabled = active.enabled;
    binding.plugin = active.plugin;
    binding.error = active.error;
    binding.filters = active.filters;
    append_timestamp(binding.loaded_at, active.loaded_at);
    out.push_back(std::move(binding));
  }
  return out;
}

void Server::tell_complaints(std::vector<std::string> complaints) {
  for (const std::string& complaint : complaints) {
    if (std::ranges::find(told_complaints_, complaint) == told_complaints_.end()) {
      log_.warn(complaint);
    }
  }
  told_complaints_ = std::move(complaints);
}

void Server::execute_plugin(const std::string& name,
                            std::move_only_function<void(Result<std::int32_t>)> done) {
  const auto info = registry_->find(name);
  if (!info) {
    return done(fail(ErrorKind::kNotFound, fmt::format("no plugin is named {}", name)));
  }
  if (!info->plugin || info->plugin->route_plugin() == nullptr) {
    return done(fail(ErrorKind::kInvalidArgument,
                     fmt::format("plugin {} is not loaded, or is no route plugin: only those have "
                                 "execute()",
                                 name)));
  }
  net::Worker& worker = *workers_.front();
  worker.post([plugin = info->plugin, &worker, done = std::move(done)]() mutable {
    // The version lives until it has answered.
    plugin->route_plugin()->execute(
        worker, [plugin, done = std::move(done)](Result<std::int32_t> result) mutable {
          done(std::move(result));
        });
  });
}

}  // namespace heddle::cli
