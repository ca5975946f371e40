#include "plugins/registry.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "plugins/directory.h"

namespace heddle::plugins {
namespace {

bool same_plugin(const ActivePlugin& a, const ActivePlugin& b) {
  return a.name == b.name && a.priority == b.priority && a.on_failure == b.on_failure &&
         a.plugin == b.plugin && a.error == b.error && a.enabled == b.enabled && a.kind == b.kind &&
         a.filters == b.filters;
}

// Of a version that could not be made.
std::string_view consequence_of(const ActivePlugin& plugin) {
  if (plugin.plugin) return "the former version goes on serving";
  if (is_message_hook(plugin)) {
    return rejects_messages(plugin) ? "messages are rejected" : "messages pass WITHOUT this plugin";
  }
  return plugin.on_failure == config::OnFailure::kOpen
             ? "requests pass WITHOUT this plugin (on_failure: open)"
             : "its routes answer 503";
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

std::vector<std::string> Registry::watched_directories() const {
  std::vector<std::string> out;
  for (const config::PluginDirectory& directory : sources_.directories) {
    if (!directory.watch) continue;
    out.push_back(directory.path);
    const std::vector<std::string> folders = folders_in(directory.path);
    out.insert(out.end(), folders.begin(), folders.end());
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
    remember(*entry);
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
  // Its version goes with the last exchange that uses it: ticks, calls and memory end too.
  std::optional<LoadedVersion> gone;
  {
    const std::lock_guard lock(mutex_);
    entry->enabled = false;
    if (entry->current) entry->likely_kind = entry->current->kind;
    gone = std::exchange(entry->current, std::nullopt);
  }
  remember(*entry);
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

Registry::Stamps Registry::stamp(const std::string& path) {
  Stamps out;
  for (const std::string& file : package_files(path)) {
    struct stat status{};
    FileStamp& of = out.emplace_back();
    if (stat(file.c_str(), &status) != 0) continue;
    of = {status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec, status.st_ino,
          status.st_size};
  }
  return out;
}

bool Registry::file_changed(const Entry& entry) {
  if (!entry.current) return true;
  if (entry.last_error.empty() && stamp(entry.wanted.path) == entry.tried) return false;
  const auto package = read_package(entry.wanted.path);
  return !package || package->digest != entry.current->digest;
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
    out.entry.timeout = entry.current->timeout;
    out.entry.host_calls = entry.current->host_calls;
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
  out.path = made_from.path;
  out.on_failure_given = made_from.on_failure_given;
  out.priority = made_from.priority;
  out.on_failure = made_from.on_failure;
  out.enabled = entry.enabled;
  if (entry.current) {
    out.plugin = entry.current->plugin;
  } else {
    out.error = entry.last_error;
  }
  out.kind = entry.current ? entry.current->kind : made_from.kind;
  // Whatever its file looks like: where it should stand guard nothing must pass.
  if (!entry.current && made_from.must_filter) out.kind = "proxy_wasm";
  if (out.kind.empty()) out.kind = entry.likely_kind;
  if (out.kind.empty() && made_from.path.ends_with(".so")) out.kind = "native_hook";
  out.loaded_at = entry.loaded_at;
  out.filters = made_from.filters;
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

void Registry::attempt(Entry& entry, const config::Plugin& wanted, ChangeReport& report) {
  if (auto made = make_version(entry, wanted); !made) {
    report.failed.push_back({wanted.name, made.error().message});
  } else {
    report.reloaded.push_back(wanted.name);
  }
}

// A filter whose file has become something else would be gone from its routes without a word.
Result<LoadedVersion> Registry::load_next(const Entry* entry, const config::Plugin& wanted) const {
  auto made = loader_.load(wanted, (entry != nullptr ? entry->last_version : 0) + 1);
  const bool was_filter = entry != nullptr && entry->current && is_filter(*entry->current->plugin);
  if (!made || !was_filter || !wanted.kind.empty() || is_filter(*made->plugin)) return made;
  return fail(
      ErrorKind::kConflict,
      fmt::format("plugin {}: {}: is of kind {} now, which filters no requests, and version "
                  "{} does; restore the file, or set `kind: {}` if the change is meant",
                  wanted.name, wanted.path, made->kind, entry->current->version, made->kind));
}

Result<void> Registry::make_version(Entry& entry, const config::Plugin& wanted) {
  auto staged = staged_.extract(wanted.name);
  // Taken before the file is read: a change meanwhile is seen as one.
  const Stamps now = staged.empty() ? stamp(wanted.path) : staged.mapped().files;
  {
    const std::lock_guard lock(mutex_);
    entry.tried = now;
    entry.loading = true;
  }
  auto made = staged.empty() ? load_next(&entry, wanted)
                             : Result<LoadedVersion>(std::move(staged.mapped().version));
  if (!made) {
    // kNotFound is for names that no plugin has.
    if (made.error().kind == ErrorKind::kNotFound) made.error().kind = ErrorKind::kInvalidArgument;
    std::string kind = loader_.likely_kind(wanted.path);
    {
      const std::lock_guard lock(mutex_);
      entry.likely_kind = std::move(kind);
    }
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
  log_.info(first ? "plugin loaded" : "plugin reloaded",
            {{"plugin", wanted.name},
             {"version", entry.last_version},
             {"kind", entry.current->kind},
             {"path", wanted.path},
             {"compile_cache", entry.current->module && entry.current->module->from_cache()},
             {"compile_ms", static_cast<double>(entry.current->compile_time) / 1e6}});
  return {};
}

void Registry::failed(Entry& entry, const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    entry.loading = false;
  }
  note_failure(entry.wanted.name, &entry, error, consequence_of(activate(entry)));
}

void Registry::note_failure(const std::string& name, Entry* entry, const Error& error,
                            std::string_view consequence) {
  if (entry != nullptr) {
    const std::lock_guard lock(mutex_);
    entry->last_error = error.message;
  }
  metrics_
      .counter("heddle_plugin_load_failures_total", "Versions that failed their activation gate.",
               {{"plugin", name}})
      ->add();
  record(name, "failed", error.message);
  log_.error(error.message, {{"plugin", name}, {"consequence", consequence}});
}

bool Registry::starts_enabled(const config::Plugin& wanted) const {
  if (state_file_ == nullptr) return wanted.enabled;
  return state_file_->enabled(wanted.name, wanted.enabled).value_or(wanted.enabled);
}

void Registry::remember(const Entry& entry) const {
  if (state_file_ == nullptr) return;
  state_file_->set(entry.wanted.name, entry.enabled, entry.wanted.enabled);
}

void Registry::record(std::string_view plugin, std::string_view what, std::string message) {
  const Event event{wall_now(), std::string(plugin), std::string(what), std::move(message)};
  {
    const std::lock_guard lock(mutex_);
    if (events_.size() == kEvents) events_.pop_front();
    events_.push_back(event);
  }
  if (told_) told_(event);
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
