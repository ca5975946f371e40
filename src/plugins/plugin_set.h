// The plugins that serve now, as the gateway reads them: immutable, in the order in which a request
// meets them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "extension/plugin_contract.h"

namespace heddle::plugins {

struct ActivePlugin {
  std::string name;
  std::string path;
  int priority = 0;
  config::OnFailure on_failure = config::OnFailure::kClosed;
  // Null when no version could be loaded. Then an enabled plugin with kOpen is left out; any other
  // one answers its routes with 503 and `error`.
  std::shared_ptr<extension::LoadedPlugin> plugin;
  std::string error;  // why `plugin` is null; one line
  bool on_failure_given = false;
  bool enabled = true;
  std::string kind;                  // of the version, or what the file looks like; may be empty
  Nanoseconds loaded_at = 0;         // of the version; realtime
  std::vector<std::string> filters;  // plugins on its routes
};

// Whether the plugin is of a kind that fills MessageHook, loaded or not: it is no filter of
// requests.
inline bool is_message_hook(const ActivePlugin& plugin) {
  return plugin.kind == "message_hook" || plugin.kind == "native_hook";
}

// Whether one that could not be loaded stops all messages; else they pass without it.
inline bool rejects_messages(const ActivePlugin& hook) {
  return hook.on_failure_given && hook.on_failure != config::OnFailure::kOpen;
}

struct PluginSet {
  // Priority high to low; equal priority: order in the file, then plugin directories in name order.
  std::vector<ActivePlugin> plugins;

  const ActivePlugin* find(std::string_view name) const {
    for (const ActivePlugin& plugin : plugins) {
      if (plugin.name == name) return &plugin;
    }
    return nullptr;
  }
};

}  // namespace heddle::plugins
