// Puts the routes of plugins into the gateway. Those of route plugins (extension::RoutePlugin),
// each at the path of its manifest and under /api/plugins/NAME, with OPTIONS, the list of plugins,
// their pages, and the OpenAPI document of all of them; those of JSON-RPC plugins, unless an
// upstream of the configuration leads there (`builtin: rpc`). Control thread; the result is
// immutable.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "extension/http_origin.h"
#include "extension/plugin_contract.h"
#include "gateway/router.h"

namespace heddle::gateway {

// A plugin of the configuration that answers routes. Given by whoever runs the registry.
struct RoutePluginBinding {
  std::string name;                                 // of the entry
  std::shared_ptr<extension::LoadedPlugin> plugin;  // null: cannot be loaded, see `error`
  bool enabled = true;                              // else it is listed, and answers nothing
  std::string error;                                // one line that begins with the plugin's name
  std::string loaded_at;                            // RFC 3339
  std::vector<std::string> filters;  // that run on its routes besides the common ones
};

// A plugin of the configuration that answers calls: at /rpc/NAME, and /rpc/NAME/ws.
struct RpcPluginBinding {
  std::string name;
  std::shared_ptr<extension::HttpOrigin> origin;
  std::chrono::milliseconds timeout{0};
  std::string error;                 // why it cannot be loaded; empty: it serves
  std::vector<std::string> filters;  // that run on its routes besides the common ones
};

struct PluginBindings {
  std::vector<RoutePluginBinding> routes;
  std::vector<RpcPluginBinding> calls;
};

// A route that no configuration wrote.
struct PluginRouteEntry {
  config::Route route;
  std::shared_ptr<extension::HttpOrigin> origin;
  std::string origin_name;  // for the log and metrics
  std::string unavailable;  // why it answers 503; empty: it serves
};

struct PluginRoutes {
  std::vector<PluginRouteEntry> routes;
  std::vector<std::string> conflicts;  // one line each, naming both sides
};

// The routes of `config` come before those of plugins with the same path; of two plugins, the
// first.
PluginRoutes make_plugin_routes(const config::Config& config, const PluginBindings& plugins);

// The decoded parameters of a request to the route with this path; "*" is the rest.
std::vector<std::pair<std::string_view, std::string>> decode_parameters(const RouteMatch& match,
                                                                        std::string_view pattern,
                                                                        std::string_view path);

inline constexpr std::string_view kPluginPrefix = "/api/plugins/";

}  // namespace heddle::gateway
