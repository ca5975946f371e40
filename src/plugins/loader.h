// Makes one version of one plugin out of its entry: reads the file, checks its hash, compiles,
// finds the contract, and runs the activation gate (contracts.md "What all five share"). Holds no
// state of its own; blocks; any thread.
//
// Every error is one line that names the plugin, the file, what is wrong and what to do.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "config/config.h"
#include "extension/plugin_contract.h"
#include "plugins/package.h"
#include "sandbox/engine.h"
#include "sandbox/module.h"

namespace heddle::plugins {

// Sends the `smoke:` requests of the entry through a chain that holds only this plugin, in front of
// the echo upstream, or to the routes of the plugin. The error says which request got what instead
// of what.
using SmokeRunner = std::function<Result<void>(const std::shared_ptr<extension::LoadedPlugin>&,
                                               const config::Plugin&)>;

struct LoadedVersion {
  std::uint32_t version = 0;
  std::string kind;
  std::string sha256;                    // of the file
  std::string digest;                    // of the package's content
  Nanoseconds compile_time = 0;          // to compile it, or to load it from the compile cache
  std::chrono::milliseconds timeout{0};  // in force: the entry's, or that of the kind
  std::uint64_t host_calls = 0;          // the same
  std::shared_ptr<const sandbox::Module> module;  // null: a file that is no module
  std::shared_ptr<extension::LoadedPlugin> plugin;
};

class Loader {
 public:
  // Engine, contracts and log outlive the loader. Contracts are asked in this order which of them
  // knows a module.
  Loader(sandbox::Engine& engine, std::vector<extension::PluginContract*> contracts, Log& log);

  // Without a runner, an entry with `smoke:` fails its gate.
  void set_smoke_runner(SmokeRunner runner) { smoke_ = std::move(runner); }

  Result<LoadedVersion> load(const config::Plugin& entry, std::uint32_t version) const;

  // The kind of a file that could not be loaded, by what can be seen of it; empty: none can be
  // told.
  std::string likely_kind(const std::string& path) const;

  // Only reads the package; the same errors as load().
  static Result<Package> read(const config::Plugin& entry);
  // A file's bytes; the error begins with the path.
  static Result<std::vector<std::byte>> read_path(const std::string& path);

 private:
  // Kind, module and plugin of the version.
  Result<void> make(const config::Plugin& entry, Package& package, LoadedVersion& out) const;
  Result<std::shared_ptr<const sandbox::Module>> compile(const config::Plugin& entry,
                                                         const std::vector<std::byte>& bytes) const;
  Result<extension::PluginContract*> contract_for_manifest(const config::Plugin& entry) const;
  Result<extension::PluginContract*> contract_for(const config::Plugin& entry,
                                                  const sandbox::Module& module,
                                                  bool has_manifest) const;

  sandbox::Engine& engine_;
  std::vector<extension::PluginContract*> contracts_;
  Log& log_;
  SmokeRunner smoke_;
};

// The engine's error without the module's name (callers put plugin and file before it), on one
// line, with a remedy.
Error module_error(Error error, std::string_view name);

// What to say of a module that no contract knows: what was looked for, and what it has instead.
std::string not_recognised(const sandbox::Module& module);

// What the contract gets: the entry with environment names resolved.
extension::PluginSpec make_spec(const config::Plugin& entry, std::uint32_t version);

// Whether two entries mean the same plugin; where they stand in the file does not count, nor does
// `enabled`.
bool same_entry(const config::Plugin& a, const config::Plugin& b);

// Whether it sees requests or connections on their way.
bool is_filter(extension::LoadedPlugin& plugin);

// SHA-256 as lower-case hex.
std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace heddle::plugins
