// How the registry goes over to a configuration, or to what now lies in the plugin directories.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "plugins/directory.h"
#include "plugins/registry.h"

namespace heddle::plugins {
namespace {

// The same for two names of one file, as far as the file system tells.
std::string canonical(const std::string& path) {
  std::error_code error;
  const std::filesystem::path out = std::filesystem::weakly_canonical(path, error);
  return error ? path : out.string();
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

// As OurChat's server does with its folder.
void make_hook_folders(const std::vector<config::PluginDirectory>& directories, Log& log) {
  for (const config::PluginDirectory& directory : directories) {
    std::error_code error;
    if (!directory.kind.empty()) std::filesystem::create_directories(directory.path, error);
    if (error) {
      log.warn(
          "the folder of hooks cannot be made; create it, or correct messaging.hooks.directory",
          {{"path", directory.path}, {"error", error.message()}});
    }
  }
}

}  // namespace

ChangeReport Registry::load(const config::Config& config) {
  ChangeReport report;
  Sources sources = sources_of(config);
  make_hook_folders(sources.directories, log_);
  const std::vector<Wanted> wanted = wanted_of(sources, true);
  go_over(std::move(sources), wanted, report);
  publish(true);
  return report;
}

ChangeReport Registry::apply(const config::Config& config) {
  ChangeReport report;
  Sources sources = sources_of(config);
  make_hook_folders(sources.directories, log_);
  const std::vector<Wanted> wanted = wanted_of(sources, true);
  stage(wanted, report);
  report.applied = report.failed.empty();
  if (report.applied) {
    go_over(std::move(sources), wanted, report);
    publish();
  }
  staged_.clear();
  return report;
}

Registry::Sources Registry::sources_of(const config::Config& config) {
  Sources out{.plugins = config.plugins,
              .directories = config.plugin_directories,
              .route_configurations = {},
              .filters = {}};
  if (const config::MessageHooks& hooks = config.messaging.hooks; hooks.enabled) {
    config::PluginDirectory folder;
    folder.path = hooks.directory;
    folder.kind = "message_hook";
    folder.memory_limit = hooks.max_memory;
    folder.timeout = hooks.max_execution_time;
    out.directories.push_back(std::move(folder));
  }
  for (const config::Plugin& plugin : config.plugins)
    out.filters.insert(plugin.filters.begin(), plugin.filters.end());
  for (const config::Listener& listener : config.listeners)
    out.filters.insert(listener.plugins.begin(), listener.plugins.end());
  for (const config::Route& route : config.routes) {
    for (const config::RoutePlugin& plugin : route.plugins) {
      out.filters.insert(plugin.name);
      if (!plugin.configuration) continue;
      std::vector<std::string>& known = out.route_configurations[plugin.name];
      if (!contains(known, *plugin.configuration)) known.push_back(*plugin.configuration);
    }
  }
  return out;
}

void Registry::go_over(Sources sources, const std::vector<Wanted>& wanted, ChangeReport& report) {
  sources_ = std::move(sources);
  const std::vector<std::string> added = arrange(wanted, report);
  for (const Wanted& item : wanted) {
    update(*entry_named(item.plugin.name), item, contains(added, item.plugin.name), report);
  }
}

void Registry::stage(const std::vector<Wanted>& wanted, ChangeReport& report) {
  for (const Wanted& item : wanted) {
    const std::string& name = item.plugin.name;
    Entry* entry = entry_named(name);
    if (item.from_directory || !needs_version(entry, item.plugin)) continue;
    const Stamps files = stamp(item.plugin.path);
    auto made = load_next(entry, item.plugin);
    if (made) {
      staged_.emplace(name, Staged{std::move(*made), files});
      continue;
    }
    note_failure(name, entry, made.error(), "the configuration in force stays");
    report.failed.push_back({name, std::move(made.error().message)});
  }
}

bool Registry::needs_version(const Entry* entry, const config::Plugin& wanted) const {
  if (entry == nullptr) return starts_enabled(wanted);
  const bool enabled = entry->wanted.enabled != wanted.enabled ? wanted.enabled : entry->enabled;
  if (entry->current) {
    return !same_entry(entry->serving, wanted) || file_changed(*entry) ||
           (wanted.must_filter && !is_filter(*entry->current->plugin));
  }
  // What failed before and is the same now does not stand in the way of other changes.
  const bool tried = same_entry(entry->wanted, wanted) && stamp(wanted.path) == entry->tried;
  return enabled && (!tried || entry->last_error.empty());
}

ChangeReport Registry::rescan() {
  ChangeReport report;
  std::vector<Wanted> wanted = wanted_of(sources_, false);
  // What lies in a directory that is not watched stays as it is: nothing new, nothing gone.
  std::erase_if(wanted, [&](const Wanted& item) {
    return item.from_directory && !item.watched && entry_named(item.plugin.name) == nullptr;
  });
  for (const auto& entry : entries_) {
    const bool listed = std::ranges::any_of(
        wanted, [&](const Wanted& item) { return item.plugin.name == entry->wanted.name; });
    if (!listed && entry->from_directory && !entry->watched)
      wanted.push_back({entry->wanted, true, false});
  }
  const std::vector<std::string> added = arrange(wanted, report);
  for (const Wanted& item : wanted) {
    Entry& entry = *entry_named(item.plugin.name);
    const bool is_new = contains(added, item.plugin.name);
    // A file that did not change since it was last tried is not tried again.
    if (!is_new && (!item.watched || stamp(item.plugin.path) == entry.tried)) {
      report.kept.push_back(item.plugin.name);
    } else {
      update(entry, item, is_new, report);
    }
  }
  publish();
  return report;
}

std::vector<Registry::Wanted> Registry::wanted_of(const Sources& sources, bool tell) const {
  std::vector<Wanted> out;
  std::map<std::string, std::size_t> by_file;  // to its place in `out`
  std::set<std::string, std::less<>> names;
  for (const config::Plugin& plugin : sources.plugins) {
    by_file.emplace(canonical(plugin.path), out.size());
    names.insert(plugin.name);
    out.push_back({plugin, false, false});
  }
  for (const config::PluginDirectory& directory : sources.directories) {
    DirectoryScan scan = scan_directory(directory, tell ? &log_ : nullptr);
    keep_unreadable(directory, scan);
    for (config::Plugin& plugin : scan.plugins) {
      // A file that an entry names runs as that entry says, once.
      const auto [known, is_new] = by_file.emplace(canonical(plugin.path), out.size());
      if (!is_new) {
        if (directory.watch) {
          const std::string& file = known->first;
          for (Wanted& item : out) item.watched |= canonical(item.plugin.path) == file;
        }
        continue;
      }
      if (!names.insert(plugin.name).second) {
        if (tell) {
          log_.warn("file in plugin directory left out: another plugin has its name; rename it",
                    {{"plugin", plugin.name}, {"path", plugin.path}});
        }
        by_file.erase(known);
        continue;
      }
      out.push_back({std::move(plugin), true, directory.watch});
    }
  }
  for (Wanted& item : out) {
    const auto found = sources.route_configurations.find(item.plugin.name);
    if (found != sources.route_configurations.end())
      item.plugin.route_configurations = found->second;
    item.plugin.must_filter =
        !item.plugin.phases.empty() || sources.filters.contains(item.plugin.name);
  }
  return out;
}

void Registry::keep_unreadable(const config::PluginDirectory& directory,
                               DirectoryScan& scan) const {
  for (const auto& [path, error] : scan.unreadable) {
    log_.error("plugin directory cannot be read; its plugins stay as they are: make it readable",
               {{"path", path}, {"error", error}});
  }
  if (scan.unreadable.empty()) return;
  const auto unreadable = [&](const std::string& path) {
    return std::ranges::find(scan.unreadable, path, &DirectoryScan::Unreadable::path) !=
           scan.unreadable.end();
  };
  for (const auto& entry : entries_) {
    const config::Plugin& plugin = entry->wanted;
    if (!entry->from_directory || plugin.location.file != directory.path) continue;
    const bool found =
        std::ranges::find(scan.plugins, plugin.name, &config::Plugin::name) != scan.plugins.end();
    if (!found && (unreadable(directory.path) || unreadable(plugin.path))) {
      scan.plugins.push_back(plugin);
      scan.plugins.back().route_configurations.clear();  // wanted_of() knows them
    }
  }
  std::ranges::sort(scan.plugins, {}, &config::Plugin::name);
}

std::vector<std::string> Registry::arrange(const std::vector<Wanted>& wanted,
                                           ChangeReport& report) {
  std::vector<std::string> added;
  std::vector<std::unique_ptr<Entry>> gone;  // destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    std::vector<std::unique_ptr<Entry>> old = std::exchange(entries_, {});
    for (const Wanted& item : wanted) {
      const auto same = std::ranges::find_if(
          old, [&](const auto& entry) { return entry && entry->wanted.name == item.plugin.name; });
      if (same != old.end()) {
        entries_.push_back(std::move(*same));
      } else {
        auto entry = std::make_unique<Entry>();
        entry->wanted = item.plugin;
        entry->enabled = starts_enabled(item.plugin);
        entry->loading = true;
        entries_.push_back(std::move(entry));
        added.push_back(item.plugin.name);
      }
      entries_.back()->from_directory = item.from_directory;
      entries_.back()->watched = item.watched;
    }
    std::erase(old, nullptr);
    gone = std::move(old);
  }
  for (const auto& entry : gone) {
    report.removed.push_back(entry->wanted.name);
    record(entry->wanted.name, "removed", {});
    log_.info("plugin removed", {{"plugin", entry->wanted.name}});
    // A file may come back a moment later, when it is replaced.
    if (!entry->from_directory && state_file_ != nullptr) state_file_->forget(entry->wanted.name);
    metrics_.remove({{"plugin", entry->wanted.name}});
  }
  for (const std::string& name : added) {
    const Entry& entry = *entry_named(name);
    if (entry.enabled || !entry.wanted.enabled) continue;
    log_.warn("plugin disabled through the admin API; enable it with POST /plugins/NAME/enable",
              {{"plugin", name}});
  }
  return added;
}

void Registry::update(Entry& entry, const Wanted& wanted, bool is_new, ChangeReport& report) {
  {
    const std::lock_guard lock(mutex_);
    // What the admin API switched stays so until the configuration says something new.
    if (entry.wanted.enabled != wanted.plugin.enabled) entry.enabled = wanted.plugin.enabled;
    entry.wanted = wanted.plugin;
    entry.loading = false;
  }
  const bool unloaded = !entry.enabled && !entry.current;
  const bool unchanged =
      entry.current && same_entry(entry.serving, wanted.plugin) && !file_changed(entry);
  if (unloaded || unchanged) {
    const Stamps now = stamp(wanted.plugin.path);
    std::string kind = unloaded ? loader_.likely_kind(wanted.plugin.path) : std::string();
    {
      const std::lock_guard lock(mutex_);
      entry.tried = now;
      if (unloaded) entry.likely_kind = std::move(kind);
      if (unchanged) entry.last_error.clear();  // what failed was taken back
    }
    (is_new ? report.added : report.kept).push_back(wanted.plugin.name);
    return;
  }
  if (!is_new) return attempt(entry, wanted.plugin, report);
  if (auto made = make_version(entry, wanted.plugin); !made) {
    report.failed.push_back({wanted.plugin.name, made.error().message});
  } else {
    report.added.push_back(wanted.plugin.name);
  }
}

}  // namespace heddle::plugins
