// What the contract needs of the rest of Heddle; made in main, and outlives the contract.
#pragma once

#include "base/log.h"
#include "base/metrics.h"
#include "extension/foreign_functions.h"
#include "extension/upstream_directory.h"
#include "sandbox/engine.h"
#include "services/plugin_metrics.h"
#include "services/shared_data.h"
#include "services/shared_queue.h"

namespace heddle::proxy_wasm {

struct Dependencies {
  sandbox::Engine& engine;
  Log& log;
  metrics::Registry& metrics;
  services::SharedData& shared_data;
  services::SharedQueues& shared_queues;
  services::PluginMetrics& plugin_metrics;
  extension::UpstreamDirectory* upstreams =
      nullptr;  // null: every call fails (tools without a gateway)
  const extension::ForeignFunctions* foreign_functions =
      nullptr;  // of the embedding program; null: only the built-in ones
};

}  // namespace heddle::proxy_wasm
