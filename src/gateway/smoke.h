// Smoke requests of the activation gate: a plugin version answers them on a worker of its own, in
// front of the echo upstream, before it may serve.
#pragma once

#include <memory>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "config/config.h"
#include "extension/plugin_contract.h"

namespace heddle::gateway {

// Runs `plugin.smoke` one after the other. Blocks; any thread but a worker. The error says which
// request, what came, and what was expected.
Result<void> run_smoke(const std::shared_ptr<extension::LoadedPlugin>& loaded,
                       const config::Plugin& plugin, Log& log);

}  // namespace heddle::gateway
