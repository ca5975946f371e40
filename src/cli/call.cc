// `heddle call PLUGIN METHOD [PARAMS]`: one call of a JSON-RPC plugin, without a server. The result
// goes to standard output; the plugin's log, its notifications and an error to standard error.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <iostream>
#include <iterator>
#include <optional>
#include <utility>

#include "base/json_check.h"
#include "cli/commands.h"
#include "cli/contracts.h"
#include "cli/output.h"
#include "cli/service_set.h"
#include "config/reader.h"
#include "contracts/json_rpc/incoming.h"
#include "contracts/json_rpc/line_protocol.h"
#include "net/blocking_pool.h"
#include "net/worker.h"
#include "plugins/loader.h"
#include "sandbox/engine.h"

namespace heddle::cli {
namespace {

class Printer final : public extension::RpcCaller {
 public:
  void on_notification(std::string_view method, std::string_view params) override {
    print_note(fmt::format("{}: {}", method, params));
  }
  void on_log(std::string_view line) override { print_note(line); }
};

// What a call needs, taken down in the reverse order.
struct Bench {
  std::unique_ptr<Log> log = Log::null();
  metrics::Registry metrics;
  std::unique_ptr<sandbox::Engine> engine;
  net::BlockingPool blocking{2};
  std::unique_ptr<ServiceSet> services;
  std::unique_ptr<Contracts> contracts;
  net::Worker worker{0, *log};
};

Result<void> build(Bench& bench, const config::Config& config) {
  sandbox::EngineOptions options;
  options.strategy = config.engine.strategy == "pulley" ? sandbox::Strategy::kPulley
                                                        : sandbox::Strategy::kCranelift;
  options.cache_dir = config.engine.cache_dir;
  options.instances = 16;
  options.suspendable_instances = 16;  // plugins may call each other
  auto engine = sandbox::Engine::create(options, *bench.log, bench.metrics);
  if (!engine) return std::unexpected(std::move(engine.error()));
  bench.engine = std::move(*engine);
  if (!config.files.empty()) {
    auto services = ServiceSet::create(config, bench.blocking, bench.metrics, *bench.log);
    if (!services) return std::unexpected(std::move(services.error()));
    bench.services = std::move(*services);
  }
  bench.contracts =
      std::make_unique<Contracts>(*bench.engine, *bench.log, bench.metrics, nullptr, nullptr,
                                  bench.services ? bench.services->view() : services::Services{});
  return {};
}

Result<config::Plugin> find_plugin(const config::Config& config, const CallOptions& options) {
  if (options.config.empty()) {
    config::Plugin entry;
    entry.path = options.plugin;
    entry.name = std::filesystem::path(options.plugin).stem().string();
    entry.kind = "json_rpc";
    // What the kind has for its own.
    entry.timeout = config::Milliseconds(0);
    entry.memory_limit = 0;
    entry.host_calls = 0;
    return entry;
  }
  const auto found = std::ranges::find(config.plugins, options.plugin, &config::Plugin::name);
  if (found == config.plugins.end()) {
    return fail(ErrorKind::kNotFound,
                fmt::format("no plugin {} in {}", options.plugin, options.config));
  }
  return *found;
}

// The plugins of the configuration that the one that is called may call.
void publish_others(Bench& bench, const plugins::Loader& loader, const config::Config& config,
                    const config::Plugin& called) {
  extension::RpcTargets::Map targets;
  if (!called.permissions.plugins.empty()) {
    for (const config::Plugin& entry : config.plugins) {
      if (entry.name == called.name) continue;
      auto other = loader.load(entry, 1);
      if (!other) continue;
      if (auto target = other->plugin->rpc_target()) targets[entry.name] = std::move(target);
    }
  }
  bench.contracts->rpc_targets().publish(std::move(targets));
}

extension::RpcOutcome run_call(net::Worker& worker, extension::RpcTarget& target,
                               extension::RpcCall call) {
  Printer printer;
  call.caller = &printer;
  std::unique_ptr<extension::RpcTarget::Handle> handle;
  std::promise<extension::RpcOutcome> outcome;
  worker.start();
  worker.post([&] {
    handle = target.call(worker, std::move(call), [&](extension::RpcOutcome result) {
      handle.reset();
      outcome.set_value(std::move(result));
    });
  });
  auto result = outcome.get_future().get();
  worker.stop();
  worker.join();
  return result;
}

int print(const extension::RpcOutcome& outcome) {
  if (!outcome.ok) {
    print_note(json_rpc::error_json(outcome.error));
    return kExitFailed;
  }
  const auto printed = print_result(outcome.result);
  if (printed) return kExitOk;
  print_note("heddle: " + printed.error().message);
  return kExitFailed;
}

}  // namespace

int call(const CallOptions& options) {
  std::string params = options.params;
  if (params == "-") {
    params.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  if (const auto fault = check_json(params, json_rpc::LineLimits{}.depth)) {
    print_note(fmt::format("heddle: params are not JSON: {} at byte {}", fault->why, fault->at));
    return kExitUsage;
  }
  config::Config config;
  if (!options.config.empty()) {
    const config::ReadResult read = config::read(options.config, {});
    for (const config::Problem& problem : read.problems) print_note(to_string(problem));
    if (!read.ok()) return kExitConfig;
    config = *read.config;
  }
  Bench bench;
  auto entry = find_plugin(config, options);
  const auto built = build(bench, config);
  if (!entry || !built) {
    print_note("heddle: " + (entry ? built.error().message : entry.error().message));
    return kExitUnavailable;
  }
  if (options.timeout.count() > 0) entry->timeout = options.timeout;
  const plugins::Loader loader(*bench.engine, bench.contracts->all(), *bench.log);
  auto loaded = loader.load(*entry, 1);
  const auto target = loaded ? loaded->plugin->rpc_target() : nullptr;
  if (!target) {
    print_note("heddle: " + (loaded ? fmt::format("plugin {} is of kind {}, not json_rpc",
                                                  entry->name, loaded->kind)
                                    : loaded.error().message));
    return kExitUnavailable;
  }
  publish_others(bench, loader, config, *entry);
  const int code =
      print(run_call(bench.worker, *target, {.method = options.method, .params = params}));
  bench.contracts->rpc_targets().publish({});
  return code;
}

}  // namespace heddle::cli
