#include "cli/contracts.h"

#include "contracts/json_rpc/contract.h"
#include "contracts/json_rpc/server_methods.h"
#include "contracts/message_hook/contract.h"
#include "contracts/native_hook/contract.h"
#include "contracts/proxy_wasm/contract.h"
#include "contracts/route/contract.h"

namespace heddle::cli {

Contracts::Contracts(sandbox::Engine& engine, Log& log, metrics::Registry& metrics,
                     extension::UpstreamDirectory* directory,
                     const extension::ForeignFunctions* foreign_functions,
                     const services::Services& services)
    : services_(services), plugin_metrics_(metrics) {
  contracts_.push_back(std::make_unique<proxy_wasm::Contract>(proxy_wasm::Dependencies{
      .engine = engine,
      .log = log,
      .metrics = metrics,
      .shared_data = shared_data_,
      .shared_queues = shared_queues_,
      .plugin_metrics = plugin_metrics_,
      .upstreams = directory,
      .foreign_functions = foreign_functions,
  }));
  contracts_.push_back(std::make_unique<native_hook::Contract>(
      native_hook::Dependencies{.engine = engine, .log = log, .metrics = metrics}));
  contracts_.push_back(std::make_unique<message_hook::Contract>(
      message_hook::Dependencies{.engine = engine, .log = log, .metrics = metrics}));
  contracts_.push_back(std::make_unique<route::Contract>(route::Dependencies{
      .engine = engine,
      .log = log,
      .metrics = metrics,
      .services = services,
  }));
  json_rpc::add_server_methods(rpc_methods_, services_, &rpc_targets_);
  contracts_.push_back(std::make_unique<json_rpc::Contract>(json_rpc::Dependencies{
      .engine = engine, .log = log, .metrics = metrics, .methods = rpc_methods_}));
}

Contracts::~Contracts() = default;

std::vector<extension::PluginContract*> Contracts::all() const {
  std::vector<extension::PluginContract*> out;
  out.reserve(contracts_.size());
  for (const auto& contract : contracts_) out.push_back(contract.get());
  return out;
}

}  // namespace heddle::cli
