// How a running server goes over to another configuration: all of it or nothing of it.
#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "cli/server.h"
#include "config/reader.h"
#include "config/restart.h"

namespace heddle::cli {
namespace {

using config::Problem;

Problem error_at(config::Location location, std::string path, std::string message) {
  return {Problem::Severity::kError, std::move(location), std::move(path), std::move(message), {}};
}

// An error of the item with this name.
template <typename Item>
Problem error_of(std::string_view list, const std::vector<Item>& items, std::string_view name,
                 std::string message) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].name != name) continue;
    return error_at(items[i].location, std::string(list) + "[" + std::to_string(i) + "]",
                    std::move(message));
  }
  return error_at({}, std::string(list), std::move(message));
}

// Metrics of items that are gone: with names that are made up for each deployment they would grow
// for ever.
template <typename Item>
void forget_metrics(metrics::Registry& metrics, std::string_view label,
                    const std::vector<Item>& before, const std::vector<Item>& now,
                    std::string Item::* name) {
  for (const Item& item : before) {
    if (std::ranges::find(now, item.*name, name) == now.end()) {
      metrics.remove({{std::string(label), item.*name}});
    }
  }
}

// One line for those who ask later.
std::string first_error(const admin::ConfigReload& reload) {
  for (const Problem& problem : reload.problems) {
    if (problem.severity == Problem::Severity::kError) return to_string(problem);
  }
  return "unknown";
}

// What the configuration is read from.
std::vector<std::string> files_of(const ServeOptions& options) {
  std::vector<std::string> out{options.config};
  if (!options.ourchat_config.empty()) out.push_back(options.ourchat_config);
  return out;
}

std::size_t hash_of(const std::vector<std::string>& files,
                    std::size_t (*hash)(const std::string& file)) {
  std::size_t out = 0;
  for (const std::string& file : files) out = out * 31 + hash(file);
  return out;
}

}  // namespace

std::size_t fingerprint_of(const ServeOptions& options) {
  return hash_of(files_of(options), config::fingerprint);
}

admin::ConfigReload Server::reload_config() {
  if (auto reopened = log_.reopen(); !reopened) log_.error(reopened.error().message);
  admin::ConfigReload out;
  seen_files_ = fingerprint_of(options_);
  config::ReadResult read =
      config::read(options_.config, {.lenient = options_.lenient,
                                     .refuse_empty = true,
                                     .ourchat_config = options_.ourchat_config});
  out.problems = std::move(read.problems);
  if (read.config) {
    if (auto next = with_overrides(*read.config, options_)) {
      out.applied = go_over(std::move(*next), out);
    } else {
      out.problems.push_back(error_at({.file = options_.config, .line = 0, .column = 0}, "",
                                      std::move(next.error().message)));
    }
  }
  view_.note_reload(out.applied ? std::string() : first_error(out));
  if (out.applied) {
    log_.info("configuration reloaded", {{"file", options_.config},
                                         {"routes", config_->routes.size()},
                                         {"plugins", registry_->list().size()}});
  } else {
    log_.error("configuration not reloaded; the one in force stays",
               {{"file", options_.config}, {"problems", out.problems.size()}});
    for (const Problem& problem : out.problems) log_.error(to_string(problem));
  }
  watch_configuration();
  return out;
}

// What can fail comes first and changes nothing that serves.
bool Server::go_over(std::shared_ptr<const config::Config> next, admin::ConfigReload& out) {
  const auto refuse = [&](Problem problem) { out.problems.push_back(std::move(problem)); };
  std::shared_ptr<const admin::AdminServer::Access> access;
  if (admin_) {
    if (auto made = admin_->make_access(next->admin)) {
      access = std::move(*made);
    } else {
      refuse(error_at({.file = options_.config, .line = 0, .column = 0}, "admin",
                      std::move(made.error().message)));
      return false;
    }
  }
  if (next->messaging.enabled && !messages_) {
    refuse(error_at({.file = options_.config, .line = 0, .column = 0}, "messaging.enabled",
                    "the message service is started with the server; restart it"));
    return false;
  }
  gateway::Gateway::ListenerPlan listeners =
      gateway_->plan_listeners(next->listeners, admin_address_.address);
  for (auto& [name, error] : listeners.failed) {
    refuse(error_of("listeners", next->listeners, name, std::move(error.message)));
  }
  if (!listeners.failed.empty()) return false;
  if (!certificates_.load(next, out.problems)) return false;
  // The plugins go together with the routes that configure them.
  going_over_ = true;
  const plugins::ChangeReport report = registry_->apply(*next);
  going_over_ = false;
  for (const plugins::PluginFailure& failure : report.failed) {
    if (report.applied) {
      out.notes.push_back(failure.error);
    } else {
      refuse(error_of("plugins", next->plugins, failure.plugin, failure.error));
    }
  }
  if (!report.applied) {
    certificates_.take_back();
    return false;
  }

  note_what_needs_a_restart(*next, out.notes);
  const std::shared_ptr<const config::Config> before = std::exchange(config_, std::move(next));
  log_.set_level(config_->logging.level);
  if (access) {
    admin_worker_->post([this, access = std::move(access)] { admin_->set_access(access); });
  }
  publish();
  auto listening = gateway_->apply_listeners(std::move(listeners), config_->drain_timeout);
  if (!listening) {
    log_.error(listening.error().message);
    out.notes.push_back(std::move(listening.error().message));
  }
  forget_metrics(metrics_, "route", before->routes, config_->routes, &config::Route::id);
  forget_metrics(metrics_, "upstream", before->upstreams, config_->upstreams,
                 &config::Upstream::name);
  forget_metrics(metrics_, "listener", before->listeners, config_->listeners,
                 &config::Listener::name);
  watch_directories();
  certificates_.watch();
  return true;
}

void Server::note_what_needs_a_restart(const config::Config& next,
                                       std::vector<std::string>& notes) const {
  for (const std::string& setting : config::restart_changes(*started_with_, next)) {
    notes.push_back(setting + " changed: that takes effect after a restart");
    log_.warn(notes.back());
  }
}

void Server::watch_directories() {
  std::vector<std::string> directories = registry_->watched_directories();
  if (watcher_ && directories == watched_directories_) return;
  const bool watched = watch(watcher_, directories, "plugin directories are not watched", [this] {
    registry_->rescan();
    watch_directories();
  });
  if (!watched) return;
  watched_directories_ = std::move(directories);
  registry_->rescan();  // what changed before it was watched
}

// Folders, not files: a file is usually replaced by a rename.
void Server::watch_configuration() {
  const std::vector<std::string> files = files_of(options_);
  config::WatchPoints points;
  if (config_->watch_config) {
    for (const std::string& file : files) config::add_watch_points(file, points);
  }
  if (config_watcher_ && points == config_points_) return;
  plugins::WatchOptions options;
  options.counts = [points](std::string_view name) { return points.counts(name); };
  options.stamp = [files] { return hash_of(files, config::stamp); };
  options.at_start = true;  // what changed before it was watched
  const bool watched = watch(
      config_watcher_, {points.folders.begin(), points.folders.end()},
      "the configuration is not watched",
      [this] {
        if (fingerprint_of(options_) != seen_files_) return static_cast<void>(reload_config());
        watch_configuration();  // a link may lead elsewhere
      },
      std::move(options));
  if (watched) config_points_ = std::move(points);
}

bool Server::watch(std::unique_ptr<plugins::Watcher>& watcher, std::vector<std::string> directories,
                   std::string_view failure, std::function<void()> changed,
                   plugins::WatchOptions options) {
  if (directories.empty()) {
    watcher.reset();
    return true;
  }
  auto made = plugins::Watcher::create(
      std::move(directories), [this, changed = std::move(changed)] { control_.post(changed); },
      log_, std::move(options));
  if (!made) {
    log_.error(failure, {{"error", made.error().message}});
    return false;
  }
  watcher = std::move(*made);
  return true;
}

}  // namespace heddle::cli
