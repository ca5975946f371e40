// One version of one plugin: what all its instances share, on whatever worker. Made when the plugin
// is loaded; lives as long as any of them. Immutable but for its statistics and its log's counters.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "contracts/proxy_wasm/dependencies.h"
#include "contracts/proxy_wasm/module_check.h"
#include "contracts/proxy_wasm/plugin_log.h"
#include "contracts/proxy_wasm/plugin_stats.h"
#include "contracts/proxy_wasm/shared_vms.h"
#include "extension/plugin_contract.h"
#include "sandbox/instance.h"

namespace heddle::proxy_wasm {

class Root;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

// Holds root contexts that answered 0 to on_done until they call proxy_done or their time is
// up. The contract owns it and empties it when it goes, after the workers have stopped.
class Farewells {
 public:
  void keep(std::shared_ptr<Root> root);
  std::shared_ptr<Root> take(const Root& root);
  void clear();

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Root>> roots_;
};

struct Version {
  Version(const Dependencies& services_, extension::PluginSpec spec_, ModuleTraits traits_,
          std::shared_ptr<Farewells> farewells_)
      : services(services_),
        spec(std::move(spec_)),
        traits(traits_),
        farewells(std::move(farewells_)),
        own_(std::make_unique<Own>(services, spec, traits)),
        stats(own_->stats),
        log(own_->log) {}
  // The same plugin with the configuration of a route.
  Version(std::shared_ptr<const Version> base, std::string configuration)
      : services(base->services),
        spec(with(base->spec, std::move(configuration))),
        traits(base->traits),
        linked(base->linked),
        farewells(base->farewells),
        vms(base->vms),
        base_(std::move(base)),
        stats(base_->stats),
        log(base_->log) {}

  const Dependencies services;
  const extension::PluginSpec spec;
  const ModuleTraits traits;
  std::shared_ptr<const sandbox::LinkedModule> linked;  // set once, before the first instance
  std::shared_ptr<Farewells> farewells;
  std::shared_ptr<const void> shared_space;  // keeps the data of the vm_id
  std::shared_ptr<VmPlaces> vms;             // set once, before the first worker

 private:
  struct Own {
    Own(const Dependencies& services, const extension::PluginSpec& spec, const ModuleTraits& traits)
        : stats(services.log, services.metrics, spec, traits.callbacks), log(services.log, stats) {}
    PluginStats stats;
    PluginLog log;
  };
  static extension::PluginSpec with(extension::PluginSpec spec, std::string configuration) {
    spec.configuration = std::move(configuration);
    return spec;
  }

  std::shared_ptr<const Version> base_;
  std::unique_ptr<Own> own_;  // null: those of the base

 public:
  PluginStats& stats;
  PluginLog& log;

  // The limits of callbacks, and those of starting, where plugins parse their configuration and
  // compile patterns.
  sandbox::Limits limits() const;
  sandbox::Limits start_limits() const;
};

// One line: callback, message, reason, and the innermost frame.
std::string trap_text(const sandbox::Trap& trap);

}  // namespace heddle::proxy_wasm
