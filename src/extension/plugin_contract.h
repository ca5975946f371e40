// How the plugin registry meets the contracts: a contract recognises modules of its kind and loads
// them. Contracts are registered in main; a new one is one folder and one line there.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "extension/http_filter.h"
#include "extension/message_hook.h"
#include "extension/network_filter.h"
#include "extension/route_plugin.h"
#include "extension/rpc_target.h"

namespace heddle::sandbox {
class Module;
}
namespace heddle::net {
class Worker;
}

namespace heddle::extension {

// Index of the throw-away worker on which smoke requests run; real workers count from 0.
inline constexpr std::size_t kSmokeWorker = 255;

enum class FailurePolicy : std::uint8_t { kClosed, kOpen, kReload };

// One version of one plugin entry: everything a contract needs to run it, defaults filled in.
struct PluginSpec {
  std::string name;
  std::uint32_t version = 1;  // 1 for the first that is loaded, one more for every reload
  std::string path;           // for messages
  std::vector<std::string>
      phases;  // empty: all; names as in the configuration (on_request_headers, …)
  int priority = 0;
  std::optional<std::string> configuration;
  std::string vm_configuration;
  std::string root_id;
  std::string vm_id;
  std::size_t memory_limit = 0;          // bytes
  std::chrono::milliseconds timeout{0};  // wall, per callback
  std::size_t buffer_limit = 0;          // bytes of a message body held by Pause
  // Of a route's request body; of JSON-RPC params, and of one message of the plugin. Bytes.
  std::size_t body_limit = 0;
  // Of JSON-RPC calls. Zero: the kind's own.
  std::size_t output_limit = 0;                // bytes of all its messages in one call
  std::size_t max_calls = 0;                   // at a time, per worker
  std::size_t max_queued_calls = 0;            // waiting for their turn, per worker
  std::vector<std::string> permitted_plugins;  // that it may call by rpc.call; "*": every one
  std::size_t log_lines_per_second = 0;
  std::size_t log_line_bytes = 0;
  std::uint64_t host_calls = 0;  // per callback
  // Of plugins whose guests wait (route):
  std::chrono::milliseconds cpu_limit{0};  // CPU time per call; 0: the sandbox's own
  bool reuse_instances = false;            // an instance goes on to the next request
  std::uint32_t max_requests = 0;          // that it serves; 0: any number
  std::uint32_t max_instances = 0;         // at a time, per worker; 0: what the engine has
  std::chrono::milliseconds instance_idle{60'000};
  bool merge_body = true;  // keys of a JSON body stand at the top level of a handler's input too
  std::size_t outbound_calls = 0;  // at a time and exchange
  FailurePolicy on_failure = FailurePolicy::kClosed;
  // Whether the entry says so itself; otherwise a kind may have other defaults.
  bool on_failure_given = false;
  bool memory_limit_given = false;
  std::string isolation;  // of native code: "none" or "process"; empty: none
  std::string instances;  // "process": one for all workers; "per_worker"; empty: the kind's own
  int failure_status = 500;
  bool allow_on_headers_stop_iteration = false;
  bool string_properties = false;
  std::vector<std::string> permitted_hosts;  // host:port patterns for calls beside upstream names
  bool permit_shared_data = true;
  // Services (services/services.h):
  std::string sql_access = "none";  // "none", "read", "write"
  bool permit_state = true;
  bool permit_events = true;
  std::vector<std::string> private_networks;   // that permitted hosts may lead to
  std::vector<std::string> foreign_functions;  // permitted names
  std::vector<std::string> environment;        // "KEY=VALUE", resolved
  // Host calls and callbacks that it has, by name; empty: all.
  std::vector<std::string> capabilities;
  // What routes configure it with instead of `configuration`; each is there once.
  std::vector<std::string> route_configurations;
  // The manifest file that lies beside the module, or in its package; one embedded in the module is
  // not here.
  std::optional<std::string> manifest;
  std::string manifest_path;  // for messages
};

// What the admin API shows of a running version.
struct PluginStats {
  std::uint64_t calls = 0;      // guest callbacks
  std::uint64_t errors = 0;     // traps, time-outs and failures
  std::uint64_t exchanges = 0;  // streams seen
  double cpu_seconds = 0;
  double average_call_us = 0;
  std::uint64_t memory_bytes = 0;  // of all instances
  std::uint64_t instances = 0;
  std::uint64_t limit_hits = 0;
  std::string last_error;  // empty when none
};

// A version that passed its checks. Shared by the snapshots that use it; whatever it keeps on
// workers is dismantled on those workers when the last reference goes (from any thread).
class LoadedPlugin {
 public:
  virtual ~LoadedPlugin() = default;
  virtual std::string_view kind() const = 0;
  // Makes the worker's instance, so that the first request need not. Runs on the worker.
  virtual Result<void> start(net::Worker& worker) = 0;
  // Dismantles the worker's instance, which no exchange uses any more. Runs on the worker, before
  // it goes.
  virtual void stop(net::Worker& worker) = 0;
  // No new exchange comes to it. Takes on nothing else either (events of other plugins), and says
  // whether it is ready with what it took on. Control thread, after start(), and again until it is
  // ready or is given no more time.
  virtual bool retire() { return true; }
  // Null for contracts that fill another extension point.
  virtual std::shared_ptr<HttpFilterFactory> http_filter() = 0;
  // The same with one of PluginSpec::route_configurations; null when it is none of them.
  virtual std::shared_ptr<HttpFilterFactory> http_filter(std::string_view /*configuration*/) {
    return nullptr;
  }
  virtual std::shared_ptr<NetworkFilterFactory> network_filter() { return nullptr; }
  virtual std::shared_ptr<MessageHook> message_hook() { return nullptr; }
  // Lives as long as this.
  virtual RoutePlugin* route_plugin() { return nullptr; }
  virtual std::shared_ptr<RpcTarget> rpc_target() { return nullptr; }
  virtual PluginStats stats() const = 0;
};

class PluginContract {
 public:
  virtual ~PluginContract() = default;
  virtual std::string_view kind() const = 0;  // "proxy_wasm"
  // Whether the module is of this kind, judged by its exports.
  virtual bool recognises(const sandbox::Module& module) const = 0;
  // Whether a module that no contract recognises is of this kind when a manifest lies beside it.
  virtual bool takes_manifest() const { return false; }
  // A plugin that has a manifest (of `spec`) and no module.
  virtual Result<std::shared_ptr<LoadedPlugin>> load_manifest(const PluginSpec& /*spec*/) {
    return fail(ErrorKind::kInvalidArgument, "has no WebAssembly module");
  }
  // Fills in what the entry leaves to the kind of plugin: a time-out of zero.
  virtual void complete(PluginSpec& spec) const {
    if (spec.timeout.count() == 0) spec.timeout = std::chrono::milliseconds(100);
  }
  // Links, and runs start and configure once on a throw-away instance (canary). Blocks; any thread.
  // The error names what is missing or wrong and what to do; the registry puts plugin and file
  // before it.
  virtual Result<std::shared_ptr<LoadedPlugin>> load(
      const PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) = 0;
  // Whether it takes this file, which is no Wasm module, as it is (a shared object); and loads it.
  virtual bool takes_file(std::span<const std::byte> /*file*/) const { return false; }
  virtual Result<std::shared_ptr<LoadedPlugin>> load_file(const PluginSpec& /*spec*/,
                                                          std::span<const std::byte> /*file*/) {
    return fail(ErrorKind::kInvalidArgument, "is no WebAssembly module");
  }
  // Whether the host offers this import, and of what type; for `heddle inspect`.
  virtual bool offers_import(std::string_view module, std::string_view name) const = 0;
};

}  // namespace heddle::extension
