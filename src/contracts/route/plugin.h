// One version of a route plugin: its table of routes, and the handlers that answer them.
#pragma once

#include <chrono>
#include <memory>

#include "contracts/route/handlers.h"
#include "contracts/route/manifest.h"
#include "extension/plugin_contract.h"

namespace heddle::route {

class Plugin final : public extension::LoadedPlugin, public extension::RoutePlugin {
 public:
  // `timeout`: of routes whose manifest gives none.
  Plugin(const RouteManifest& manifest, std::chrono::milliseconds timeout,
         std::shared_ptr<Handlers> handlers);
  ~Plugin() override;
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  std::string_view kind() const override { return "route"; }
  Result<void> start(net::Worker& worker) override { return handlers_->start(worker); }
  void stop(net::Worker& worker) override { handlers_->stop(worker); }
  bool retire() override { return handlers_->retire(); }
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override { return nullptr; }
  extension::RoutePlugin* route_plugin() override { return this; }
  extension::PluginStats stats() const override { return handlers_->stats(); }

  const extension::RouteTable& table() const override { return table_; }
  extension::HttpOrigin& origin(std::size_t route) override { return handlers_->origin(route); }
  void execute(net::Worker& worker,
               std::move_only_function<void(Result<std::int32_t>)> done) override {
    handlers_->execute(worker, std::move(done));
  }

 private:
  extension::RouteTable table_;
  std::shared_ptr<Handlers> handlers_;
};

// A plugin that has a manifest and no module: pages, and nothing that runs.
class PagesPlugin final : public extension::LoadedPlugin, public extension::RoutePlugin {
 public:
  explicit PagesPlugin(const RouteManifest& manifest);

  std::string_view kind() const override { return "route"; }
  Result<void> start(net::Worker& /*worker*/) override { return {}; }
  void stop(net::Worker& /*worker*/) override {}
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override { return nullptr; }
  extension::RoutePlugin* route_plugin() override { return this; }
  extension::PluginStats stats() const override { return {}; }

  const extension::RouteTable& table() const override { return table_; }
  extension::HttpOrigin& origin(std::size_t route) override;
  void execute(net::Worker& worker,
               std::move_only_function<void(Result<std::int32_t>)> done) override;

 private:
  extension::RouteTable table_;
};

}  // namespace heddle::route
