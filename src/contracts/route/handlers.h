// One version of a route plugin, able to run: its linked module, an origin for each route, and its
// instances on each worker. Made by the contract, shared by the snapshots that use it.
//
// create() blocks, any thread; origin() and stats() may be called from any thread; the rest runs on
// the worker that it names.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "contracts/route/dependencies.h"
#include "contracts/route/event_inbox.h"
#include "contracts/route/route_origin.h"
#include "contracts/route/runtime.h"
#include "contracts/route/worker_guests.h"
#include "extension/http_origin.h"
#include "extension/per_worker.h"
#include "extension/plugin_contract.h"
#include "sandbox/module.h"

namespace heddle::route {

struct RouteManifest;

class Handlers {
 public:
  // Links, and starts an instance that is thrown away, so that init() has run once. Errors name the
  // import, the export or what init() returned.
  static Result<std::shared_ptr<Handlers>> create(const Dependencies& dependencies,
                                                  const extension::PluginSpec& spec,
                                                  std::shared_ptr<const sandbox::Module> module,
                                                  std::shared_ptr<const RouteManifest> manifest);
  ~Handlers();
  Handlers(const Handlers&) = delete;
  Handlers& operator=(const Handlers&) = delete;

  extension::HttpOrigin& origin(std::size_t route) { return *origins_.at(route); }
  // With `reuse`, makes the first instance, so that the first request need not. The first worker's
  // guests hear of events.
  Result<void> start(net::Worker& worker);
  // LoadedPlugin::retire().
  bool retire() { return inbox_ == nullptr || inbox_->retire(); }
  // Ends the worker's instances, cleanup() included.
  void stop(net::Worker& worker);
  // The same on every worker that has any, later; when nobody else uses the version. Any thread.
  static void end(const std::shared_ptr<Handlers>& handlers);
  // kNotFound: there is no export execute().
  void execute(net::Worker& worker, std::move_only_function<void(Result<std::int32_t>)> done);
  extension::PluginStats stats() const { return runtime_.record().stats(); }

  static bool offers_import(std::string_view module, std::string_view name);

  Runtime& runtime() { return runtime_; }
  WorkerGuests& guests(net::Worker& worker);

 private:
  Handlers(const Dependencies& dependencies, const extension::PluginSpec& spec,
           const sandbox::Module& module, std::shared_ptr<const RouteManifest> manifest);
  Result<void> try_start(Log& log);

  std::shared_ptr<const RouteManifest> manifest_;
  Runtime runtime_;
  std::shared_ptr<const sandbox::LinkedModule> linked_;
  std::vector<std::unique_ptr<RouteOrigin>> origins_;
  extension::PerWorker<std::unique_ptr<WorkerGuests>> workers_;  // each touched by its worker only
  std::unique_ptr<EventInbox> inbox_;                            // the first worker's
};

}  // namespace heddle::route
