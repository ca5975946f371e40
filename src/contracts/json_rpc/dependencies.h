// What the contract needs of the rest of Heddle; made in main, and outlives the contract's calls.
#pragma once

#include "base/log.h"
#include "base/metrics.h"
#include "contracts/json_rpc/host_methods.h"
#include "extension/rpc_targets.h"
#include "sandbox/engine.h"

namespace heddle::json_rpc {

struct Dependencies {
  sandbox::Engine& engine;
  Log& log;
  metrics::Registry& metrics;
  const HostMethods& methods;
};

}  // namespace heddle::json_rpc
