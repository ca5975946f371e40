// Where contracts are registered: one line each, in the order in which they are asked whether a
// module is theirs.
#pragma once

#include <memory>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "contracts/json_rpc/host_methods.h"
#include "contracts/json_rpc/http_origin.h"
#include "extension/foreign_functions.h"
#include "extension/plugin_contract.h"
#include "extension/rpc_targets.h"
#include "extension/upstream_directory.h"
#include "sandbox/engine.h"
#include "services/plugin_metrics.h"
#include "services/services.h"
#include "services/shared_data.h"
#include "services/shared_queue.h"

namespace heddle::cli {

// The contracts and the services they share. `directory` null: calls to upstreams fail (tools
// without a gateway). `foreign_functions`: what the embedding program offers to plugins; it
// outlives the contracts. `services`: null ones are not offered (the same tools); the others
// outlive the contracts.
class Contracts {
 public:
  Contracts(sandbox::Engine& engine, Log& log, metrics::Registry& metrics,
            extension::UpstreamDirectory* directory,
            const extension::ForeignFunctions* foreign_functions = nullptr,
            const services::Services& services = {});
  ~Contracts();

  std::vector<extension::PluginContract*> all() const;
  // To be kept current by whoever runs the registry.
  extension::RpcTargets& rpc_targets() { return rpc_targets_; }
  // Of upstreams with `builtin: rpc`.
  extension::HttpOrigin& rpc_origin() { return rpc_origin_; }

 private:
  services::Services services_;
  services::SharedData shared_data_;
  services::SharedQueues shared_queues_;
  services::PluginMetrics plugin_metrics_;
  extension::RpcTargets rpc_targets_;
  json_rpc::HostMethods rpc_methods_;
  json_rpc::RpcOrigin rpc_origin_{rpc_targets_};
  std::vector<std::unique_ptr<extension::PluginContract>> contracts_;
};

}  // namespace heddle::cli
