// A loaded version of a plugin (LoadedPlugin), and where its filters come from (HttpFilterFactory,
// NetworkFilterFactory): a root context on each worker for each of its configurations, replaced
// when its VM fails.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "contracts/proxy_wasm/network_context.h"
#include "contracts/proxy_wasm/root.h"
#include "contracts/proxy_wasm/version.h"
#include "extension/per_worker.h"
#include "extension/plugin_contract.h"
#include "net/timer.h"

namespace heddle::proxy_wasm {

// The root context of one worker, in the worker's VM, which it makes when there is none. One whose
// VM failed is replaced for the next exchange at once (policy `reload`: after the back-off); when
// none comes, or when starting anew fails, after the back-off. Worker thread only.
class WorkerRoot final : public Root::Owner {
 public:
  // Lower bound of the time between two attempts; the jitter adds up to half of it, failures in a
  // row double it.
  static constexpr std::chrono::seconds kBackOff{1};
  static constexpr std::chrono::seconds kMaxBackOff{30};

  WorkerRoot(std::shared_ptr<Version> version, net::Worker& worker);
  ~WorkerRoot();

  Result<void> start();
  // Null: the plugin is down.
  std::shared_ptr<Root> acquire();
  // Its end is near: a trap in it harms nobody.
  void announce_end();
  // `wait`: for proxy_done, when the root context asks for it.
  void dismantle(bool wait);

 private:
  void on_root_failed(Root& root) override;
  void retry_later();
  Result<std::shared_ptr<Root>> make();

  std::shared_ptr<Version> version_;
  net::Worker& worker_;
  std::shared_ptr<Root> root_;
  net::Timer retry_timer_;
  Nanoseconds retry_at_ = 0;
  unsigned failures_ = 0;  // in a row, to start
};

class Plugin final : public extension::LoadedPlugin,
                     public extension::HttpFilterFactory,
                     public extension::NetworkFilterFactory,
                     public std::enable_shared_from_this<Plugin> {
 public:
  // `of_routes`: the same version with the configurations that routes give the plugin.
  explicit Plugin(std::shared_ptr<Version> version,
                  const std::vector<std::shared_ptr<Version>>& of_routes = {});
  ~Plugin() override;
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  std::string_view kind() const override;
  Result<void> start(net::Worker& worker) override;
  void stop(net::Worker& worker) override;
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override;
  std::shared_ptr<extension::HttpFilterFactory> http_filter(
      std::string_view configuration) override;
  std::shared_ptr<extension::NetworkFilterFactory> network_filter() override;
  extension::PluginStats stats() const override { return version_->stats.stats(); }

  const std::string& name() const override { return version_->spec.name; }
  extension::FilterInterest interest() const override { return interest_; }
  std::size_t buffer_limit() const override { return version_->spec.buffer_limit; }
  std::unique_ptr<extension::HttpFilter> create(extension::FilterHost& host) override {
    return create(host, 0);
  }
  std::unique_ptr<extension::NetworkFilter> create_network(
      extension::NetworkFilterHost& host) override;

 private:
  // The filters of one configuration of a route.
  class RouteFilters final : public extension::HttpFilterFactory {
   public:
    RouteFilters(Plugin& plugin, std::size_t index) : plugin_(plugin), index_(index) {}
    const std::string& name() const override { return plugin_.name(); }
    extension::FilterInterest interest() const override { return plugin_.interest(); }
    std::size_t buffer_limit() const override { return plugin_.buffer_limit(); }
    std::unique_ptr<extension::HttpFilter> create(extension::FilterHost& host) override {
      return plugin_.create(host, index_);
    }

   private:
    Plugin& plugin_;
    const std::size_t index_;
  };
  // A worker's roots, in the order of versions_.
  struct Place {
    net::Worker* worker = nullptr;
    std::vector<std::unique_ptr<WorkerRoot>> roots;
  };

  std::unique_ptr<extension::HttpFilter> create(extension::FilterHost& host, std::size_t index);
  Place& at(net::Worker& worker);
  static void dismantle(Place& place, bool wait);

  std::shared_ptr<Version> version_;
  std::vector<std::shared_ptr<Version>> versions_;  // version_, then those of routes
  std::vector<std::unique_ptr<RouteFilters>> route_filters_;
  extension::FilterInterest interest_;
  NetworkInterest network_interest_;
  bool wants_anything_ = false;
  // By index of the worker; each is touched by its worker only, and by the destructor, which has
  // the last reference.
  extension::PerWorker<Place> workers_;
};

// The callbacks that the module exports and the phases let run.
extension::FilterInterest interest_of(const ModuleTraits& traits,
                                      const std::vector<std::string>& phases);
NetworkInterest network_interest_of(const ModuleTraits& traits,
                                    const std::vector<std::string>& phases);

}  // namespace heddle::proxy_wasm
