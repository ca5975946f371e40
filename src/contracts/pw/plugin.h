// A plugin version as the registry and the gateway hold it: a VM for each worker, and the failure policy over them.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>

#include "contracts/pw/plugin_code.h"
#include "contracts/pw/vm.h"
#include "extension/http_filter.h"
#include "extension/plugin_contract.h"

namespace heddle::proxy_wasm {

// Makes the filters. Kept by snapshots; the VMs go with the last of them.
class FilterFactory final : public extension::HttpFilterFactory {
 public:
  explicit FilterFactory(std::shared_ptr<const PluginCode> code);
  ~FilterFactory() override;

  const std::string& name() const override { return code_->spec.name; }
  extension::FilterInterest interest() const override { return code_->interest; }
  std::size_t buffer_limit() const override { return code_->spec.buffer_limit; }
  std::unique_ptr<extension::HttpFilter> create(extension::FilterHost& host) override;

  Result<void> start(net::Worker& worker);
  void stop(net::Worker& worker);

 private:
  static constexpr std::size_t kWorkers = 256;
  static constexpr Nanoseconds kBackOff = 1'000'000'000;  // least time between two starts after failures

  // Touched by its worker only.
  struct Slot {
    net::Worker* worker = nullptr;
    std::shared_ptr<Vm> vm;
    Nanoseconds next_start = 0;  // not before, after a failure
  };
  Slot* slot(net::Worker& worker);
  // The VM for a new exchange; null when there is none now.
  std::shared_ptr<Vm> vm_for(net::Worker& worker);

  std::shared_ptr<const PluginCode> code_;
  std::array<Slot, kWorkers> slots_;
};

class Plugin final : public extension::LoadedPlugin {
 public:
  Plugin(std::shared_ptr<const PluginCode> code);

  std::string_view kind() const override { return "proxy_wasm"; }
  Result<void> start(net::Worker& worker) override { return factory_->start(worker); }
  void stop(net::Worker& worker) override { factory_->stop(worker); }
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override { return factory_; }
  extension::PluginStats stats() const override;

 private:
  std::shared_ptr<const PluginCode> code_;
  std::shared_ptr<FilterFactory> factory_;
};

}  // namespace heddle::proxy_wasm
