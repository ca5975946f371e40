// What the contract needs of the rest of Heddle; made in main, and outlives the contract.
#pragma once

#include "base/log.h"
#include "base/metrics.h"
#include "sandbox/engine.h"
#include "services/services.h"

namespace heddle::route {

struct Dependencies {
  sandbox::Engine& engine;
  Log& log;
  metrics::Registry& metrics;
  services::Services services;
};

}  // namespace heddle::route
