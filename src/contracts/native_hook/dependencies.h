// What the contract needs of the rest of Heddle; made in main, and outlives the contract.
#pragma once

#include <string>

#include "base/log.h"
#include "base/metrics.h"
#include "sandbox/engine.h"

namespace heddle::native_hook {

struct Dependencies {
  sandbox::Engine& engine;
  Log& log;
  metrics::Registry& metrics;
  // What runs plugins in child processes: calls run_child() when it is started with kChildVerb.
  std::string child_program = "/proc/self/exe";
};

}  // namespace heddle::native_hook
