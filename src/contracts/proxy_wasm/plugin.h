// A loaded version of a plugin (LoadedPlugin), and where its filters come from (HttpFilterFactory,
// NetworkFilterFactory): a VM on each worker, replaced when it fails.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "contracts/proxy_wasm/network_context.h"
#include "contracts/proxy_wasm/version.h"
#include "contracts/proxy_wasm/vm.h"
#include "extension/plugin_contract.h"
#include "net/timer.h"

namespace heddle::proxy_wasm {

// The VM of one worker. A VM that fails is replaced for the next exchange at once (policy `reload`:
// after the back-off); when none comes, or when starting anew fails, after the back-off. Worker
// thread only.
class WorkerVm final : public Vm::Owner {
 public:
  // Lower bound of the time between two attempts; the jitter adds up to half of it, failures in a
  // row double it.
  static constexpr std::chrono::seconds kBackOff{1};
  static constexpr std::chrono::seconds kMaxBackOff{30};

  WorkerVm(std::shared_ptr<Version> version, net::Worker& worker);
  ~WorkerVm();

  Result<void> start();
  // Null: the plugin is down.
  std::shared_ptr<Vm> acquire();
  // `wait`: for proxy_done, when the root context asks for it.
  void dismantle(bool wait);

 private:
  void on_vm_failed(Vm& vm) override;
  void retry_later();

  std::shared_ptr<Version> version_;
  net::Worker& worker_;
  std::shared_ptr<Vm> vm_;
  net::Timer retry_timer_;
  Nanoseconds retry_at_ = 0;
  unsigned failures_ = 0;  // in a row, to start
};

class Plugin final : public extension::LoadedPlugin,
                     public extension::HttpFilterFactory,
                     public extension::NetworkFilterFactory,
                     public std::enable_shared_from_this<Plugin> {
 public:
  explicit Plugin(std::shared_ptr<Version> version);
  ~Plugin() override;
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  std::string_view kind() const override;
  Result<void> start(net::Worker& worker) override;
  void stop(net::Worker& worker) override;
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override;
  std::shared_ptr<extension::NetworkFilterFactory> network_filter() override;
  extension::PluginStats stats() const override { return version_->stats.snapshot(); }

  const std::string& name() const override { return version_->spec.name; }
  extension::FilterInterest interest() const override { return interest_; }
  std::size_t buffer_limit() const override { return version_->spec.buffer_limit; }
  std::unique_ptr<extension::HttpFilter> create(extension::FilterHost& host) override;
  std::unique_ptr<extension::NetworkFilter> create_network(
      extension::NetworkFilterHost& host) override;

 private:
  struct Place {
    net::Worker* worker = nullptr;
    std::unique_ptr<WorkerVm> vm;
  };
  WorkerVm& at(net::Worker& worker);

  std::shared_ptr<Version> version_;
  extension::FilterInterest interest_;
  NetworkInterest network_interest_;
  bool wants_anything_ = false;
  // By index of the worker; each is touched by its worker only, and by the destructor, which has
  // the last reference.
  std::array<Place, extension::kSmokeWorker + 1> workers_;
};

// The callbacks that the module exports and the phases let run.
extension::FilterInterest interest_of(const ModuleTraits& traits,
                                      const std::vector<std::string>& phases);
NetworkInterest network_interest_of(const ModuleTraits& traits,
                                    const std::vector<std::string>& phases);

}  // namespace heddle::proxy_wasm
