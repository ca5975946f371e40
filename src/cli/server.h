// The server: builds every object, in order, and passes them down; runs until a signal; takes
// everything down again in the reverse order. Lives on the control thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "admin/api.h"
#include "admin/server.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "cli/certificates.h"
#include "cli/commands.h"
#include "cli/contracts.h"
#include "cli/control_loop.h"
#include "cli/exit_guard.h"
#include "cli/gateway_view.h"
#include "cli/message_set.h"
#include "cli/plugin_versions.h"
#include "cli/service_set.h"
#include "config/config.h"
#include "config/reader.h"
#include "extension/message_hook_chain.h"
#include "gateway/gateway.h"
#include "http/server.h"
#include "net/blocking_pool.h"
#include "net/worker.h"
#include "plugins/registry.h"
#include "plugins/watcher.h"
#include "sandbox/engine.h"

namespace heddle::cli {

class Server {
 public:
  // Nothing runs yet. `seen_files`: fingerprint of the configuration's files from before they were
  // read. `log` outlives the server.
  Server(ServeOptions options, std::shared_ptr<const config::Config> config, std::size_t seen_files,
         Log& log);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds, loads the plugins, serves.
  Result<void> start();
  // Until SIGTERM or stop(); drains.
  void run();
  // From another thread, while run() runs or before.
  void stop() { control_.stop(); }
  void post(std::move_only_function<void()> task) { control_.post(std::move(task)); }
  // As SIGHUP does; on the control thread.
  admin::ConfigReload reload_config();

 private:
  Result<void> start_admin();
  void load_plugins();
  void watch_directories();
  void watch_configuration();
  // Makes the watcher that runs `changed` on the control thread after changes in the directories;
  // none when there are none. False: the system refuses, which the log says, and the former one
  // goes on.
  bool watch(std::unique_ptr<plugins::Watcher>& watcher, std::vector<std::string> directories,
             std::string_view failure, std::function<void()> changed,
             plugins::WatchOptions options = {});
  void publish();
  // The plugins that answer routes, or would if they could be loaded.
  gateway::PluginBindings plugin_bindings() const;
  std::vector<gateway::RoutePluginBinding> route_plugins() const;
  std::vector<gateway::RpcPluginBinding> rpc_plugins() const;
  extension::RpcTargets::Map rpc_targets() const;
  // Warns of those that were not there the last time.
  void tell_complaints(std::vector<std::string> complaints);
  // Runs execute() of a route plugin on a worker.
  void execute_plugin(const std::string& name,
                      std::move_only_function<void(Result<std::int32_t>)> done);
  void warn_of_idle_filters(const std::vector<gateway::FilterBinding>& filters) const;
  // Whether the configuration was taken; else its problems are added and nothing changed.
  bool go_over(std::shared_ptr<const config::Config> next, admin::ConfigReload& out);
  void note_what_needs_a_restart(const config::Config& next, std::vector<std::string>& notes) const;
  void drain();
  bool end_hooks(Nanoseconds end);
  void take_down();

  ServeOptions options_;
  std::shared_ptr<const config::Config> config_;
  std::shared_ptr<const config::Config> started_with_;
  Log& log_;
  std::unique_ptr<ExitGuard> exit_guard_;  // from the first SIGTERM on
  Nanoseconds started_ = monotonic_now();
  metrics::Registry metrics_;
  metrics::Registry
      admin_metrics_;  // of the admin listener's connections, apart from the service's
  ControlLoop control_{options_.signals};
  std::unique_ptr<sandbox::Engine> engine_;
  std::unique_ptr<net::BlockingPool> blocking_ = std::make_unique<net::BlockingPool>(2);
  std::vector<std::unique_ptr<net::Worker>> workers_;
  std::unique_ptr<net::Worker> admin_worker_;
  extension::MessageHooks message_hooks_;
  std::unique_ptr<MessageSet> messages_;  // null: there is no message service
  std::unique_ptr<gateway::Gateway> gateway_;
  std::unique_ptr<ServiceSet> services_;
  std::unique_ptr<Contracts> contracts_;
  std::unique_ptr<plugins::StateFile> plugin_states_;
  std::unique_ptr<plugins::Registry> registry_;
  std::vector<std::string> told_complaints_;
  gateway::NativeFilters natives_{metrics_};
  GatewayView view_;
  http::ReservedAddress admin_address_;  // empty: there is no admin API
  std::unique_ptr<admin::Api> api_;
  std::unique_ptr<admin::AdminServer> admin_;
  std::vector<std::string> watched_directories_;
  std::unique_ptr<plugins::Watcher> watcher_;
  config::WatchPoints config_points_;
  std::unique_ptr<plugins::Watcher> config_watcher_;
  std::size_t seen_files_;   // fingerprint of the configuration's files at the last attempt
  bool going_over_ = false;  // plugins and certificates are ahead of config_: nothing is published
  Certificates certificates_{control_, log_, [this] { publish(); }};
  PluginVersions versions_;
};

}  // namespace heddle::cli
