#include "plugins/registry.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "plugins/directory.h"

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

std::map<std::string, std::vector<std::string>> route_configurations(const config::Config& config) {
  std::map<std::string, std::vector<std::string>> out;
  for (const config::Route& route : config.routes) {
    for (const config::RoutePlugin& plugin : route.plugins) {
      if (!plugin.configuration) continue;
      std::vector<std::string>& known = out[plugin.name];
      if (!contains(known, *plugin.configuration)) known.push_back(*plugin.configuration);
    }
  }
  return out;
}

bool same_plugin(const ActivePlugin& a, const ActivePlugin& b) {
  return a.name == b.name && a.priority == b.priority && a.on_failure == b.on_failure &&
         a.plugin == b.plugin && a.error == b.error && a.enabled == b.enabled;
}

}  // namespace

std::string_view to_string(PluginState state) {
  switch (state) {
    case PluginState::kLoading:
      return "loading";
    case PluginState::kActive:
      return "active";
    case PluginState::kFailed:
      return "failed";
    case PluginState::kDisabled:
      return "disabled";
  }
  return "failed";
}

Registry::Registry(sandbox::Engine& engine, std::vector<extension::PluginContract*> contracts,
                   Log& log, metrics::Registry& metrics)
    : loader_(engine, std::move(contracts), log),
      log_(log),
      metrics_(metrics),
      set_(std::make_shared<const PluginSet>()) {}

Registry::~Registry() = default;

ChangeReport Registry::load(const config::Config& config) {
  ChangeReport report = apply(config);
  publish(true);
  return report;
}

ChangeReport Registry::apply(const config::Config& config) {
  ChangeReport report;
  configured_ = config.plugins;
  directories_ = config.plugin_directories;
  route_configurations_ = route_configurations(config);
  const std::vector<Wanted> wanted = wanted_now(true);
  const std::vector<std::string> added = arrange(wanted, report);
  for (const Wanted& item : wanted) {
    update(*entry_named(item.plugin.name), item, contains(added, item.plugin.name), report);
  }
  publish();
  return report;
}

ChangeReport Registry::rescan() {
  ChangeReport report;
  std::vector<Wanted> wanted = wanted_now(false);
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

std::vector<std::string> Registry::watched_directories() const {
  std::vector<std::string> out;
  for (const config::PluginDirectory& directory : directories_) {
    if (directory.watch) out.push_back(directory.path);
  }
  return out;
}

Result<ReloadResult> Registry::reload(std::string_view name) {
  Entry* entry = entry_named(name);
  if (entry == nullptr)
    return fail(ErrorKind::kNotFound, fmt::format("no plugin is named {}", name));
  const std::uint32_t old_version = entry->current ? entry->current->version : 0;
  const config::Plugin wanted = entry->wanted;
  if (auto made = make_version(*entry, wanted); !made) {
    publish();  // the reason stands in the set when nothing serves
    return std::unexpected(std::move(made.error()));
  }
  publish();
  return ReloadResult{entry->wanted.name, old_version, entry->current->version, entry->loaded_at};
}

ChangeReport Registry::reload_all() {
  ChangeReport report;
  for (const auto& entry : entries_) {
    if (!entry->enabled && !entry->current) {
      report.kept.push_back(entry->wanted.name);
      continue;
    }
    const config::Plugin wanted = entry->wanted;
    attempt(*entry, wanted, report);
  }
  publish();
  return report;
}

Result<void> Registry::enable(std::string_view name) {
  Entry* entry = entry_named(name);
  if (entry == nullptr)
    return fail(ErrorKind::kNotFound, fmt::format("no plugin is named {}", name));
  if (!entry->current) {
    const config::Plugin wanted = entry->wanted;
    if (auto made = make_version(*entry, wanted); !made) {
      publish();
      return std::unexpected(std::move(made.error()));
    }
  }
  if (!entry->enabled) {
    {
      const std::lock_guard lock(mutex_);
      entry->enabled = true;
    }
    record(name, "enabled", fmt::format("version {}", entry->current->version));
    log_.info("plugin enabled", {{"plugin", name}});
  }
  publish();
  return {};
}

Result<void> Registry::disable(std::string_view name) {
  Entry* entry = entry_named(name);
  if (entry == nullptr)
    return fail(ErrorKind::kNotFound, fmt::format("no plugin is named {}", name));
  if (!entry->enabled) return {};
  {
    const std::lock_guard lock(mutex_);
    entry->enabled = false;
  }
  record(name, "disabled", {});
  log_.info("plugin disabled", {{"plugin", name}});
  publish();
  return {};
}

std::shared_ptr<const PluginSet> Registry::set() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

std::vector<PluginInfo> Registry::list() const {
  std::vector<PluginInfo> out;
  const std::lock_guard lock(mutex_);
  for (const Entry* entry : by_priority()) out.push_back(describe(*entry));
  return out;
}

std::optional<PluginInfo> Registry::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const Entry* entry = entry_named(name);
  if (entry == nullptr) return std::nullopt;
  return describe(*entry);
}

std::vector<Event> Registry::events() const {
  const std::lock_guard lock(mutex_);
  return {events_.begin(), events_.end()};
}

Registry::FileStamp Registry::stamp(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return {};
  return {status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec, status.st_ino,
          status.st_size};
}

bool Registry::file_changed(const Entry& entry) {
  if (!entry.current) return true;
  if (entry.last_error.empty() && stamp(entry.wanted.path) == entry.tried) return false;
  const auto bytes = Loader::read_path(entry.wanted.path);
  return !bytes || sha256_hex(*bytes) != entry.current->sha256;
}

PluginInfo Registry::describe(const Entry& entry) {
  PluginInfo out;
  out.entry = entry.current ? entry.serving : entry.wanted;
  out.entry.enabled = entry.enabled;
  out.state = !entry.enabled  ? PluginState::kDisabled
              : entry.current ? PluginState::kActive
              : entry.loading ? PluginState::kLoading
                              : PluginState::kFailed;
  out.kind = entry.wanted.kind;
  out.last_error = entry.last_error;
  out.from_directory = entry.from_directory;
  if (entry.current) {
    out.kind = entry.current->kind;
    out.version = entry.current->version;
    out.loaded_at = entry.loaded_at;
    out.sha256 = entry.current->sha256;
    out.module = entry.current->module;
    out.plugin = entry.current->plugin;
  }
  return out;
}

ActivePlugin Registry::activate(const Entry& entry) {
  const config::Plugin& made_from = entry.current ? entry.serving : entry.wanted;
  ActivePlugin out;
  out.name = made_from.name;
  out.priority = made_from.priority;
  out.on_failure = made_from.on_failure;
  out.enabled = entry.enabled;
  if (entry.current) {
    out.plugin = entry.current->plugin;
  } else {
    out.error = entry.last_error;
  }
  return out;
}

Registry::Entry* Registry::entry_named(std::string_view name) const {
  for (const auto& entry : entries_) {
    if (entry->wanted.name == name) return entry.get();
  }
  return nullptr;
}

std::vector<const Registry::Entry*> Registry::by_priority() const {
  std::vector<std::pair<std::int64_t, std::size_t>> order;  // equal priorities stay in order
  for (const auto& entry : entries_) {
    const auto priority = std::int64_t{(entry->current ? entry->serving : entry->wanted).priority};
    order.emplace_back(-priority, order.size());
  }
  std::ranges::sort(order);
  std::vector<const Entry*> out;
  out.reserve(order.size());
  for (const auto& [priority, index] : order) out.push_back(entries_[index].get());
  return out;
}

std::vector<Registry::Wanted> Registry::wanted_now(bool tell) const {
  std::vector<Wanted> out;
  std::map<std::string, std::size_t> by_file;  // to its place in `out`
  std::set<std::string, std::less<>> names;
  for (const config::Plugin& plugin : configured_) {
    by_file.emplace(canonical(plugin.path), out.size());
    names.insert(plugin.name);
    out.push_back({plugin, false, false});
  }
  for (const config::PluginDirectory& directory : directories_) {
    for (config::Plugin& plugin : scan_directory(directory.path, tell ? &log_ : nullptr)) {
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
      plugin.location.file = directory.path;
      out.push_back({std::move(plugin), true, directory.watch});
    }
  }
  for (Wanted& item : out) {
    const auto found = route_configurations_.find(item.plugin.name);
    if (found != route_configurations_.end()) item.plugin.route_configurations = found->second;
  }
  return out;
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
        entry->enabled = item.plugin.enabled;
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
    metrics_.remove("plugin", entry->wanted.name);
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
    const FileStamp now = stamp(wanted.plugin.path);
    {
      const std::lock_guard lock(mutex_);
      entry.tried = now;
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

void Registry::attempt(Entry& entry, const config::Plugin& wanted, ChangeReport& report) {
  if (auto made = make_version(entry, wanted); !made) {
    report.failed.push_back({wanted.name, made.error().message});
  } else {
    report.reloaded.push_back(wanted.name);
  }
}

Result<void> Registry::make_version(Entry& entry, const config::Plugin& wanted) {
  {
    // Taken before the file is read: a change meanwhile is seen as one.
    const FileStamp now = stamp(wanted.path);
    const std::lock_guard lock(mutex_);
    entry.tried = now;
    entry.loading = true;
  }
  auto made = loader_.load(wanted, entry.last_version + 1);
  if (!made) {
    // kNotFound is for names that no plugin has.
    if (made.error().kind == ErrorKind::kNotFound) made.error().kind = ErrorKind::kInvalidArgument;
    failed(entry, made.error());
    return std::unexpected(std::move(made.error()));
  }
  const bool first = entry.last_version == 0;
  std::optional<LoadedVersion>
      old;  // goes without the lock: what is dismantled there may take its time
  {
    const std::lock_guard lock(mutex_);
    old = std::exchange(entry.current, std::move(*made));
    entry.serving = wanted;
    entry.loading = false;
    entry.last_error.clear();
    entry.last_version = entry.current->version;
    entry.loaded_at = wall_now();
  }
  const metrics::Labels labels{{"plugin", wanted.name}};
  metrics_.gauge("heddle_plugin_version", "Version of the plugin that serves.", labels)
      ->set(entry.last_version);
  metrics_.counter("heddle_plugin_loads_total", "Versions that were loaded.", labels)->add();
  record(wanted.name, first ? "loaded" : "reloaded", fmt::format("version {}", entry.last_version));
  log_.info(first ? "plugin loaded" : "plugin reloaded", {{"plugin", wanted.name},
                                                          {"version", entry.last_version},
                                                          {"kind", entry.current->kind},
                                                          {"path", wanted.path}});
  return {};
}

void Registry::failed(Entry& entry, const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    entry.loading = false;
    entry.last_error = error.message;
  }
  metrics_
      .counter("heddle_plugin_load_failures_total", "Versions that failed their activation gate.",
               {{"plugin", entry.wanted.name}})
      ->add();
  record(entry.wanted.name, "failed", error.message);
  const std::string_view consequence = entry.current ? "the former version goes on serving"
                                       : entry.wanted.on_failure == config::OnFailure::kOpen
                                           ? "requests pass WITHOUT this plugin (on_failure: open)"
                                           : "its routes answer 503";
  log_.error(error.message, {{"plugin", entry.wanted.name}, {"consequence", consequence}});
}

void Registry::record(std::string_view plugin, std::string_view what, std::string message) {
  const std::lock_guard lock(mutex_);
  if (events_.size() == kEvents) events_.pop_front();
  events_.push_back({wall_now(), std::string(plugin), std::string(what), std::move(message)});
}

void Registry::publish(bool always) {
  auto next = std::make_shared<PluginSet>();
  for (const Entry* entry : by_priority()) next->plugins.push_back(activate(*entry));
  std::shared_ptr<const PluginSet> old;  // may hold the last reference to a version
  {
    const std::lock_guard lock(mutex_);
    if (!always && std::ranges::equal(next->plugins, set_->plugins, same_plugin)) return;
    old = std::exchange(set_, next);
  }
  if (listener_) listener_(std::move(next));
}

}  // namespace heddle::plugins
