#include "cli/server.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <iterator>
#include <thread>

#include "cli/message_hooks.h"
#include "gateway/smoke.h"
#include "http/server.h"

namespace heddle::cli {
namespace {

constexpr std::size_t kAdminWorker = 254;  // index, apart from the workers that serve traffic
// What the end may take beyond drain_timeout: the last pieces of connections, plugins' own ends.
constexpr std::chrono::seconds kExitGrace{10};

std::size_t workers_of(const config::Config& config) {
  if (config.workers > 0) return config.workers;
  return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 64);
}

sandbox::EngineOptions engine_options(const config::Engine& engine) {
  sandbox::EngineOptions out;
  out.strategy =
      engine.strategy == "pulley" ? sandbox::Strategy::kPulley : sandbox::Strategy::kCranelift;
  out.cache_dir = engine.cache_dir;
  out.instances = engine.instances;
  out.suspendable_instances = engine.suspendable_instances;
  return out;
}

}  // namespace

Server::Server(ServeOptions options, std::shared_ptr<const config::Config> config,
               std::size_t seen_files, Log& log)
    : options_(std::move(options)),
      config_(std::move(config)),
      started_with_(config_),
      log_(log),
      view_(metrics_, workers_of(*config_)),
      seen_files_(seen_files) {}

Server::~Server() {
  take_down();
}

Result<void> Server::start() {
  for (std::size_t i = 0; i < workers_of(*config_); ++i) {
    workers_.push_back(std::make_unique<net::Worker>(i, log_));
  }
  std::vector<config::Problem> problems;
  if (!certificates_.load(config_, problems)) {
    std::string errors;
    for (const config::Problem& problem : problems) {
      if (problem.severity != config::Problem::Severity::kError) continue;
      errors += (errors.empty() ? "" : "; ") + to_string(problem);
    }
    return fail(ErrorKind::kInvalidArgument, std::move(errors));
  }
  gateway_ = std::make_unique<gateway::Gateway>(workers_, *blocking_, log_, metrics_);
  view_.set_upstreams(gateway_->upstreams());
  if (config_->admin.enabled) {
    auto reserved = http::reserve_address(config_->admin.address);
    if (!reserved) return std::unexpected(std::move(reserved.error()).within("admin: "));
    admin_address_ = std::move(*reserved);
  }
  auto listeners = gateway_->plan_listeners(config_->listeners, admin_address_.address);
  if (!listeners.failed.empty()) {
    auto& [name, error] = listeners.failed.front();
    return std::unexpected(std::move(error).within("listener " + name + ": "));
  }
  auto messages =
      MessageSet::create(*config_, message_hooks_, *workers_.front(), *blocking_, metrics_, log_);
  if (!messages) return std::unexpected(std::move(messages.error()));
  messages_ = std::move(*messages);
  if (messages_) gateway_->set_builtin("messages", messages_->origin());
  auto services = ServiceSet::create(*config_, *blocking_, metrics_, log_);
  if (!services) return std::unexpected(std::move(services.error()));
  services_ = std::move(*services);
  auto engine = sandbox::Engine::create(engine_options(config_->engine), log_, metrics_);
  if (!engine) return std::unexpected(std::move(engine.error()));
  engine_ = std::move(*engine);
  contracts_ = std::make_unique<Contracts>(*engine_, log_, metrics_, &gateway_->directory(),
                                           options_.foreign_functions, services_->view());
  gateway_->set_builtin("rpc", contracts_->rpc_origin());
  registry_ = std::make_unique<plugins::Registry>(*engine_, contracts_->all(), log_, metrics_);
  plugin_states_ =
      std::make_unique<plugins::StateFile>(config_->data_dir + "/plugin_states.json", log_);
  registry_->set_state_file(*plugin_states_);
  registry_->set_smoke_runner([this](const auto& loaded, const config::Plugin& plugin) {
    return gateway::run_smoke(loaded, plugin, log_);
  });
  for (const auto& worker : workers_) worker->start();
  // The admin API answers while plugins compile (GET /ready says 503 until then).
  if (auto admin = start_admin(); !admin) return admin;
  load_plugins();
  watch_directories();  // looks again, so that nobody listens without what came meanwhile
  auto listening = gateway_->apply_listeners(std::move(listeners), config_->drain_timeout);
  if (!listening) return listening;
  watch_configuration();
  certificates_.watch();
  view_.set_phase(admin::Phase::kServing);
  log_.info("ready", {{"version", HEDDLE_VERSION},
                      {"pid", static_cast<std::int64_t>(getpid())},
                      {"workers", workers_.size()},
                      {"routes", config_->routes.size()},
                      {"plugins", registry_->list().size()}});
  log_.flush();
  return {};
}

Result<void> Server::start_admin() {
  if (!config_->admin.enabled) return {};
  admin_worker_ = std::make_unique<net::Worker>(kAdminWorker, log_);
  const auto on_control = [this](std::move_only_function<void()> task) {
    control_.post(std::move(task));
  };
  api_ = std::make_unique<admin::Api>(admin::ApiDependencies{
      .registry = *registry_,
      .gateway = view_,
      .metrics = metrics_,
      .config = [this] { return view_.config(); },
      .run_on_control = on_control,
      .reload_config = [this] { return reload_config(); },
      .execute_plugin =
          [this](const std::string& name,
                 std::move_only_function<void(Result<std::int32_t>)> done) {
            execute_plugin(name, std::move(done));
          },
      .log = log_,
      .lenient = options_.lenient,
      .started_at = started_,
  });
  auto admin = admin::AdminServer::create(
      config_->admin, admin_address_.address, *api_,
      admin::ServerDependencies{
          .worker = *admin_worker_,
          .metrics = metrics_,
          .log = log_,
          .run_blocking =
              [this](std::move_only_function<void()> task) { blocking_->submit(std::move(task)); },
          .events = services_->view().events});
  if (!admin) return std::unexpected(std::move(admin.error()).within("admin: "));
  admin_ = std::move(*admin);
  if (auto listening = admin_->listen(); !listening) {
    return std::unexpected(std::move(listening.error()).within("admin: "));
  }
  admin_worker_->start();
  registry_->on_event([this](const plugins::Event& event) {
    admin_worker_->post([this, event] { admin_->tell(event); });
  });
  log_.info("admin listening", {{"address", admin_address_.address}});
  return {};
}

void Server::load_plugins() {
  // Plugins may call upstreams as soon as they start; nobody listens yet, so no request runs
  // without its filters.
  gateway_->publish(
      std::make_shared<const gateway::Snapshot>(config_, std::vector<gateway::FilterBinding>{},
                                                natives_, metrics_, certificates_.contexts()));
  registry_->load(*config_);
  registry_->on_change([this](const auto& /*set*/) {
    if (!going_over_) publish();
  });
  publish();
}

// Builds the snapshot of the configuration and plugins as they are now, and hands it to every
// worker.
void Server::publish() {
  auto leaving = versions_.leaving(*registry_->set());
  std::vector<gateway::FilterBinding> filters;
  for (const plugins::ActivePlugin& active : registry_->set()->plugins) {
    if (is_message_hook(active)) {
      const bool is_new = active.enabled && active.plugin && !versions_.started(active.plugin);
      if (is_new) versions_.add(active.plugin);
      continue;
    }
    gateway::FilterBinding binding;
    binding.name = active.name;
    binding.enabled = active.enabled;
    if (!active.enabled) {
      filters.push_back(std::move(binding));
      continue;
    }
    if (!active.plugin && (active.kind == "route" || active.kind == "json_rpc")) continue;
    binding.priority = active.priority;
    binding.error = active.error;
    binding.fail_open = active.on_failure == config::OnFailure::kOpen;
    if (active.plugin) {
      binding.factory = active.plugin->http_filter();
      binding.network = active.plugin->network_filter();
      binding.plugin = active.plugin;
      if (!versions_.started(active.plugin)) {
        if (auto result = gateway_->start_plugin(*active.plugin); !result) {
          log_.error("a plugin did not start on every worker",
                     {{"plugin", active.name}, {"error", result.error().message}});
        }
        versions_.add(active.plugin);
      }
      if (!binding.factory && !binding.network) continue;  // fills another extension point
    }
    filters.push_back(std::move(binding));
  }
  contracts_->rpc_targets().publish(rpc_targets());
  warn_of_idle_filters(filters);
  publish_message_hooks(*registry_->set(), message_hooks_);
  auto snapshot = std::make_shared<const gateway::Snapshot>(
      config_, filters, natives_, metrics_, certificates_.contexts(), plugin_bindings());
  std::vector<std::string> complaints = snapshot->conflicts();
  std::ranges::copy(snapshot->missing(), std::back_inserter(complaints));
  tell_complaints(std::move(complaints));
  view_.publish(snapshot, config_);
  gateway_->publish(std::move(snapshot));
  versions_.retire(std::move(leaving), config_->drain_timeout);
}

// A filter of requests on a TCP listener loads and never runs, which is not what anybody wants.
void Server::warn_of_idle_filters(const std::vector<gateway::FilterBinding>& filters) const {
  for (const config::Listener& listener : config_->listeners) {
    for (const std::string& name : listener.plugins) {
      const auto found = std::ranges::find(filters, name, &gateway::FilterBinding::name);
      if (found == filters.end() || found->network || !found->factory) continue;
      log_.warn(
          "a plugin of a TCP listener has no callback of TCP connections and does nothing there",
          {{"plugin", name}, {"listener", listener.name}});
    }
  }
}

void Server::run() {
  control_.run({.reload = [this] { reload_config(); },
                .terminate = [this] { drain(); },
                .tick =
                    [this] {
                      versions_.refresh();
                      log_.flush();
                    }});
}

void Server::drain() {
  log_.info("draining", {{"timeout_ms", config_->drain_timeout.count()}});
  view_.set_phase(admin::Phase::kDraining);
  watcher_.reset();
  config_watcher_.reset();
  certificates_.stop_watching();
  if (options_.signals) {
    exit_guard_ = std::make_unique<ExitGuard>(log_, config_->drain_timeout + kExitGrace);
  }
  const Nanoseconds end = monotonic_now() + to_nanoseconds(config_->drain_timeout);
  gateway_->stop_accepting();
  const bool hooks_ended = end_hooks(end);
  if (messages_) messages_->service().stop_waiting();
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::nanoseconds(std::max<Nanoseconds>(end - monotonic_now(), 0)));
  const bool clean = gateway_->drain(left, [this] { return control_.hurry(); }) && hooks_ended;
  while (!versions_.retire_all() && monotonic_now() < end && !control_.hurry()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (admin_) {
    std::promise<void> told;
    admin_worker_->post([&] {
      admin_->drain();
      admin_worker_->defer([&] { told.set_value(); });
    });
    told.get_future().wait();
  }
  log_.info("stopped", {{"clean", clean}});
  if (!hooks_ended && options_.signals) exit_at_once(log_);
}

// on_shutdown of all hooks, while the connections that there are stay open. Native code cannot be
// stopped: false when it has not returned by then, and runs on.
bool Server::end_hooks(Nanoseconds end) {
  std::promise<void> done;
  auto ended = done.get_future();
  std::thread thread([chain = message_hooks_.current(), done = std::move(done)]() mutable {
    chain->shut_down();
    done.set_value();
  });
  while (ended.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    if (monotonic_now() < end && !control_.hurry()) continue;
    log_.error("on_shutdown of a plugin does not return; the server ends without it",
               {{"limit", "drain_timeout"}});
    thread.detach();
    return false;
  }
  thread.join();
  return true;
}

void Server::take_down() {
  watcher_.reset();
  config_watcher_.reset();
  certificates_.stop_watching();
  if (admin_worker_) {
    admin_worker_->stop();
    admin_worker_->join();
  }
  if (registry_) registry_->on_event({});
  admin_.reset();
  api_.reset();
  const bool running = !workers_.empty() && engine_ != nullptr;
  if (running) gateway_->shut_down();
  if (running && messages_) messages_->finish();
  view_.publish(nullptr, nullptr);
  if (contracts_) contracts_->rpc_targets().publish({});
  message_hooks_.publish({});
  versions_.clear();
  registry_.reset();  // the last references to the plugins: their instances are dismantled on the
                      // workers
  if (running) gateway_->settle();
  for (const auto& worker : workers_) {
    worker->stop();
    worker->join();
  }
  contracts_.reset();
  services_.reset();  // its threads' last results go to workers
  gateway_.reset();
  messages_.reset();
  blocking_.reset();  // its last tasks post to workers
  workers_.clear();
  engine_.reset();
}

}  // namespace heddle::cli
