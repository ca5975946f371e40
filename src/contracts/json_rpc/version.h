// One version of one plugin: what all its calls share. Any thread; lives as long as a call of it.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "contracts/json_rpc/dependencies.h"
#include "contracts/json_rpc/lane.h"
#include "extension/per_worker.h"
#include "extension/plugin_contract.h"
#include "extension/plugin_record.h"
#include "sandbox/instance.h"

namespace heddle::json_rpc {

struct Version {
  static constexpr std::array<std::string_view, 1> kCallbacks = {"call"};

  Version(const Dependencies& services, extension::PluginSpec of,
          std::shared_ptr<const sandbox::LinkedModule> module)
      : dependencies(services),
        spec(std::move(of)),
        linked(std::move(module)),
        record(services.log, services.metrics, spec, kCallbacks, {.measures_memory = false}),
        host_requests(services.metrics.counter("heddle_plugin_host_requests_total",
                                               "Requests of a JSON-RPC plugin to its host.",
                                               {{"plugin", spec.name}})),
        queued(services.metrics.gauge("heddle_plugin_queued_calls",
                                      "Calls that wait for an instance of a plugin.",
                                      {{"plugin", spec.name}})) {}

  Dependencies dependencies;
  extension::PluginSpec spec;
  std::shared_ptr<const sandbox::LinkedModule> linked;
  extension::PluginRecord record;
  std::shared_ptr<metrics::Counter> host_requests;
  std::shared_ptr<metrics::Gauge> queued;
  // By the index of the worker, whose thread alone touches its own.
  extension::PerWorker<Lane> lanes;
};

}  // namespace heddle::json_rpc
