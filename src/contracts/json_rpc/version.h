// One version of one plugin: what all its calls share. Any thread; lives as long as a call of it.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "contracts/json_rpc/call_stats.h"
#include "contracts/json_rpc/dependencies.h"
#include "contracts/json_rpc/guest_log.h"
#include "contracts/json_rpc/lane.h"
#include "extension/plugin_contract.h"
#include "sandbox/instance.h"

namespace heddle::json_rpc {

struct Version {
  Version(const Dependencies& services, extension::PluginSpec of,
          std::shared_ptr<const sandbox::LinkedModule> module)
      : dependencies(services),
        spec(std::move(of)),
        linked(std::move(module)),
        log(services.log, spec),
        stats(services.metrics, spec.name) {}

  Dependencies dependencies;
  extension::PluginSpec spec;
  std::shared_ptr<const sandbox::LinkedModule> linked;
  GuestLog log;
  CallStats stats;
  // By the index of the worker, whose thread alone touches its own.
  std::array<Lane, extension::kSmokeWorker + 1> lanes;
};

}  // namespace heddle::json_rpc
