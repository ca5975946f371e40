// Every plugin that Heddle knows: those of the configuration and those found in plugin directories,
// with state, version and last error. Makes the immutable PluginSet that the gateway serves with.
//
// Made in main. Calls that change something belong to the control thread and block while modules
// compile; the others may come from any thread. A version that fails its activation gate never
// replaces one that serves.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "config/config.h"
#include "extension/plugin_contract.h"
#include "plugins/directory.h"
#include "plugins/loader.h"
#include "plugins/plugin_set.h"
#include "plugins/state_file.h"
#include "sandbox/engine.h"

namespace heddle::plugins {

enum class PluginState : std::uint8_t {
  kLoading,   // its first version is being made
  kActive,    // a version serves (last_error may tell of a newer one that did not make it)
  kFailed,    // no version could be loaded
  kDisabled,  // left out by configuration or by the admin API
};
std::string_view to_string(PluginState state);

// One entry, as the admin API shows it.
struct PluginInfo {
  config::Plugin
      entry;  // what the serving version was made from; the wanted entry when none serves
  PluginState state = PluginState::kLoading;
  std::string kind;           // empty while unknown
  std::uint32_t version = 0;  // 0: none was ever loaded
  Nanoseconds loaded_at = 0;  // of this version, realtime; 0: never
  std::string last_error;     // of the last attempt that failed since then; empty: none
  std::string sha256;         // of the file of this version
  bool from_directory = false;
  std::shared_ptr<const sandbox::Module> module;    // null when none is loaded
  std::shared_ptr<extension::LoadedPlugin> plugin;  // null when none is loaded
};

struct ReloadResult {
  std::string plugin;
  std::uint32_t old_version = 0;  // 0: none served before
  std::uint32_t new_version = 0;
  Nanoseconds reloaded_at = 0;  // realtime
};

struct PluginFailure {
  std::string plugin;
  std::string error;  // one line
};

// What apply(), reload_all() and rescan() did, by plugin name.
struct ChangeReport {
  std::vector<std::string> added;
  std::vector<std::string> reloaded;
  std::vector<std::string> removed;
  std::vector<std::string> kept;      // unchanged
  std::vector<PluginFailure> failed;  // their former version, if there is one, goes on serving
  bool applied = true;                // of apply(): false: because of `failed` nothing changed
};

struct Event {
  Nanoseconds time = 0;  // realtime
  std::string plugin;
  std::string what;     // loaded, reloaded, failed, enabled, disabled, removed
  std::string message;  // a version or a reason
};

class Registry {
 public:
  static constexpr std::size_t kEvents = 200;
  using ChangeListener = std::function<void(std::shared_ptr<const PluginSet>)>;

  // All references outlive the registry.
  Registry(sandbox::Engine& engine, std::vector<extension::PluginContract*> contracts, Log& log,
           metrics::Registry& metrics);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // ---- Control thread ----

  // Both before load().
  void set_smoke_runner(SmokeRunner runner) { loader_.set_smoke_runner(std::move(runner)); }
  // What the admin API switches is remembered there; it outlives the registry.
  void set_state_file(StateFile& file) { state_file_ = &file; }
  // Called on the control thread after every change of the set, load() included.
  void on_change(ChangeListener listener) { listener_ = std::move(listener); }
  // Called on the control thread with each event as it comes.
  void on_event(std::function<void(const Event&)> listener) { told_ = std::move(listener); }

  // Loads everything at start. A plugin that cannot be loaded is in the report and in the set (with
  // its error), so the caller may go on and serve the rest.
  ChangeReport load(const config::Config& config);

  // Goes over to a new configuration: an entry that is unchanged and whose file is unchanged keeps
  // its version. All or nothing: when a version that it needs cannot be made, nothing changes.
  // What had failed before, and what directories hold, does not count there.
  ChangeReport apply(const config::Config& config);

  // A new version from the entry as it is and the file as it is now. kNotFound for an unknown name;
  // any other error means that the new version failed and nothing changed.
  Result<ReloadResult> reload(std::string_view name);
  ChangeReport reload_all();

  // Takes effect for exchanges that start afterwards. A disabled plugin has no version: it goes
  // with the last exchange that uses it, and enable() makes one; failing that it stays disabled.
  // Repeating either is harmless.
  Result<void> enable(std::string_view name);
  Result<void> disable(std::string_view name);

  // Looks at the watched directories again: loads what is new, reloads what changed (configured
  // plugins whose file lies there too), drops what is gone. A broken file is tried once.
  ChangeReport rescan();
  // Directories with `watch: true` and the folders in them, for the Watcher.
  std::vector<std::string> watched_directories() const;

  // ---- Any thread ----

  std::shared_ptr<const PluginSet> set() const;  // never null
  std::vector<PluginInfo> list() const;          // in the order of the set
  std::optional<PluginInfo> find(std::string_view name) const;
  std::vector<Event> events() const;  // oldest first

 private:
  // Identifies the content of a package's files without reading them.
  struct FileStamp {
    std::int64_t mtime_ns = 0;
    std::uint64_t inode = 0;
    std::int64_t size = -1;  // no such file
    friend bool operator==(const FileStamp&, const FileStamp&) = default;
  };
  using Stamps = std::vector<FileStamp>;
  // A plugin that configuration or a directory asks for.
  struct Wanted {
    config::Plugin plugin;
    bool from_directory = false;
    bool watched = false;  // its file lies in a watched directory
  };
  struct Entry {
    config::Plugin wanted;   // as last configured
    config::Plugin serving;  // what `current` was made from
    bool from_directory = false;
    bool watched = false;
    bool enabled = true;
    bool loading = false;
    std::optional<LoadedVersion> current;
    std::uint32_t last_version = 0;  // the highest that was ever loaded
    Nanoseconds loaded_at = 0;
    std::string last_error;
    std::string likely_kind;  // of a file that could not be loaded
    Stamps tried;             // the files at the last attempt
  };

  // What a configuration says about plugins.
  struct Sources {
    std::vector<config::Plugin> plugins;
    std::vector<config::PluginDirectory> directories;
    // What routes configure plugins with, by plugin name; each configuration once.
    std::map<std::string, std::vector<std::string>> route_configurations;
    std::set<std::string> filters;  // plugins that something names as one
  };

  // A version that was made ahead of its use.
  struct Staged {
    LoadedVersion version;
    Stamps files;  // before they were read
  };

  static Sources sources_of(const config::Config& config);
  // The version after the one that serves. `entry` is null for a new plugin.
  Result<LoadedVersion> load_next(const Entry* entry, const config::Plugin& wanted) const;
  static Stamps stamp(const std::string& path);
  bool starts_enabled(const config::Plugin& wanted) const;
  static bool file_changed(const Entry& entry);
  static PluginInfo describe(const Entry& entry);
  static ActivePlugin activate(const Entry& entry);

  Entry* entry_named(std::string_view name) const;
  // The entries in the order in which requests meet them.
  std::vector<const Entry*> by_priority() const;
  std::vector<Wanted> wanted_of(const Sources& sources, bool tell) const;
  // Adds the plugins that were in the part of a directory that cannot be read now.
  void keep_unreadable(const config::PluginDirectory& directory, DirectoryScan& scan) const;
  // Makes the versions that entries of the configuration need, without using them yet.
  void stage(const std::vector<Wanted>& wanted, ChangeReport& report);
  bool needs_version(const Entry* entry, const config::Plugin& wanted) const;
  void go_over(Sources sources, const std::vector<Wanted>& wanted, ChangeReport& report);
  // Makes the entries those of `wanted`, in its order; returns the names that are new.
  std::vector<std::string> arrange(const std::vector<Wanted>& wanted, ChangeReport& report);
  void update(Entry& entry, const Wanted& wanted, bool is_new, ChangeReport& report);
  void attempt(Entry& entry, const config::Plugin& wanted, ChangeReport& report);
  Result<void> make_version(Entry& entry, const config::Plugin& wanted);
  void failed(Entry& entry, const Error& error);
  void note_failure(const std::string& name, Entry* entry, const Error& error,
                    std::string_view consequence);
  void remember(const Entry& entry) const;
  void record(std::string_view plugin, std::string_view what, std::string message);
  // Makes the set anew; tells the listener when it differs from the last one, or always.
  void publish(bool always = false);

  Loader loader_;
  Log& log_;
  metrics::Registry& metrics_;
  ChangeListener listener_;
  std::function<void(const Event&)> told_;
  StateFile* state_file_ = nullptr;       // null: nothing is remembered
  Sources sources_;                       // of the configuration now in force
  std::map<std::string, Staged> staged_;  // by plugin; empty but within apply()

  // Entries are changed by the control thread only, and under the mutex, so that others may read
  // under it.
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::shared_ptr<const PluginSet> set_;
  std::deque<Event> events_;
};

}  // namespace heddle::plugins
