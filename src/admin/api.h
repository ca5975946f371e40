// The admin API (config.md "Admin API"): a table of routes and their handlers. It knows nothing of
// sockets; AdminServer brings the requests, after Guard and Authenticator let them in.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "admin/gateway_view.h"
#include "admin/message.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "config/config.h"
#include "config/reader.h"
#include "plugins/registry.h"

namespace heddle::admin {

// Runs a task on another thread, in order of arrival.
using Runner = std::function<void(std::move_only_function<void()>)>;

struct ConfigReload {
  bool applied = false;
  std::vector<config::Problem> problems;  // errors and warnings of the file
  // "plugin auth: …", "listeners changed: takes effect after a restart"
  std::vector<std::string> notes;
};

// What the API works on. References outlive it.
struct ApiDependencies {
  plugins::Registry& registry;
  const GatewayView& gateway;
  const metrics::Registry& metrics;
  // The one in force; any thread. Null while the server starts.
  std::function<std::shared_ptr<const config::Config>()> config;
  Runner run_on_control;  // for what changes plugins or configuration
  // Runs on the control thread; empty: not offered (501).
  std::function<ConfigReload()> reload_config;
  // Runs execute() of a route plugin; `done` may come on any thread. Control thread; empty: not
  // offered (501).
  std::function<void(const std::string& name,
                     std::move_only_function<void(Result<std::int32_t>)> done)>
      execute_plugin = {};
  Log& log;
  bool lenient = false;                              // unknown keys of a configuration are warnings
  Nanoseconds started_at = 0;                        // monotonic
  std::function<Nanoseconds()> now = monotonic_now;  // for tests
};

class Api {
 public:
  explicit Api(ApiDependencies dependencies);

  // Answers at once for what only reads; from the control thread for what changes something.
  void handle(const Request& request, Respond respond) const;

  // Whether a path is answered without credentials (/health and /ready).
  static bool is_public(std::string_view target);
  // GET /events, which is a stream when a WebSocket is asked for.
  static bool is_events(const Request& request);

 private:
  ApiDependencies dependencies_;
};

}  // namespace heddle::admin
