#include "contracts/json_rpc/rpc_between.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "base/json_write.h"
#include "contracts/json_rpc/method_params.h"
#include "contracts/json_rpc/rpc_error.h"

namespace heddle::json_rpc {
namespace {

// Keeps the other plugin's version as long as its call.
class PendingRpc final : public services::PendingCall {
 public:
  PendingRpc(std::shared_ptr<extension::RpcTarget> target,
             std::unique_ptr<extension::RpcTarget::Handle> handle)
      : target_(std::move(target)), handle_(std::move(handle)) {}

 private:
  std::shared_ptr<extension::RpcTarget> target_;
  std::unique_ptr<extension::RpcTarget::Handle> handle_;
};

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::optional<RpcError> refusal(const HostRequest& request, const std::string& plugin,
                                const std::vector<std::string>& chain) {
  const auto& permitted = request.spec.permitted_plugins;
  if (!contains(permitted, plugin) && !contains(permitted, "*")) {
    return rpc_error(
        RpcError::kResourceUnavailable, "not permitted", "permission",
        fmt::format("permissions.plugins of {} does not name {}", request.spec.name, plugin));
  }
  if (contains(chain, plugin)) {
    return rpc_error(RpcError::kInvalidRequest, "plugins call each other in a circle", "cycle",
                     fmt::format("{} -> {}", fmt::join(chain, " -> "), plugin));
  }
  if (chain.size() >= kMaxCallDepth) {
    return rpc_error(RpcError::kLimitExceeded, "plugins call each other too deeply", "call_depth",
                     fmt::format("{} plugins", chain.size()));
  }
  return std::nullopt;
}

}  // namespace

HostMethods::Method rpc_between(const extension::RpcTargets& targets) {
  return [&targets](const HostRequest& request, HostMethods::Reply reply) -> services::Pending {
    Params params(request.params);
    const std::string plugin = params.text("plugin");
    extension::RpcCall call;
    call.method = params.text("method");
    if (!params.ok()) {
      reply(failure(rpc_error(RpcError::kInvalidParams, "Invalid params", "invalid_params",
                              params.problem())));
      return nullptr;
    }
    if (const auto* given = params.value("params")) call.params = write_json(*given);
    call.request_id = request.call.request_id;
    call.chain = request.call.chain;
    call.chain.push_back(request.spec.name);
    if (auto refused = refusal(request, plugin, call.chain)) {
      reply(failure(std::move(*refused)));
      return nullptr;
    }
    auto target = targets.find(plugin);
    if (!target) {
      reply(failure(rpc_error(RpcError::kResourceNotFound, "no such plugin", "plugin", plugin)));
      return nullptr;
    }
    auto handle = target->call(
        request.worker, std::move(call),
        [reply = std::move(reply)](RpcOutcome outcome) mutable { reply(std::move(outcome)); });
    return std::make_unique<PendingRpc>(std::move(target), std::move(handle));
  };
}

}  // namespace heddle::json_rpc
