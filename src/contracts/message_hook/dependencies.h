// What the contract needs of the rest of Heddle; made in main, and outlives the contract.
#pragma once

#include "base/log.h"
#include "base/metrics.h"
#include "sandbox/engine.h"

namespace heddle::message_hook {

struct Dependencies {
  sandbox::Engine& engine;
  Log& log;
  metrics::Registry& metrics;
};

}  // namespace heddle::message_hook
