// The extension point of plugins that answer HTTP routes: what they serve, and the origin behind
// each route. The gateway puts the routes into its router; everything that applies to an upstream
// (filters, limits, TLS, metrics, reload) applies to them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "extension/http_origin.h"

namespace heddle::extension {

struct PluginRoute {
  std::string method;  // upper case
  // "/items", "/items/:id", "/files/*"; segments with ':' are parameters, '*' is the rest.
  std::string path;
  std::string handler;
  std::chrono::milliseconds timeout{0};  // 0: the plugin's
  bool auth = false;                     // answered only with a user
  std::string summary;                   // for people; may be empty
  std::string request_schema;            // JSON Schema as JSON text; empty: not given
  std::string response_schema;
};

// What a plugin says of itself. JSON texts are valid JSON.
struct RouteTable {
  std::string name;  // its own, which may differ from that of the plugin's entry
  std::string version;
  std::string description;
  std::string author;
  std::string pages = "[]";
  std::vector<PluginRoute> routes;
};

// One version of a plugin. Calls come on workers except table(), which any thread may call.
class RoutePlugin {
 public:
  virtual const RouteTable& table() const = 0;
  // Of table().routes[route]; lives as long as the version. Path parameters are in
  // ExchangeInfo::route_parameters. HEAD comes to the origin of a GET route too.
  virtual HttpOrigin& origin(std::size_t route) = 0;
  // Runs the export execute(); `done` comes once, on the worker, with what it returned.
  // kNotFound: the module has no such export.
  virtual void execute(net::Worker& worker,
                       std::move_only_function<void(Result<std::int32_t>)> done) = 0;

 protected:
  ~RoutePlugin() = default;
};

}  // namespace heddle::extension
