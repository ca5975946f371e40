// The methods that the host offers to guests, by name. The server's own (server_methods.h) and
// those of an embedding program are registered the same way. Filled in at the start, then
// immutable.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "contracts/json_rpc/rpc_error.h"
#include "extension/plugin_contract.h"
#include "extension/plugin_record.h"
#include "extension/rpc_target.h"
#include "services/pending_call.h"

namespace heddle::json_rpc {

// A request of a guest; valid until the method returns.
struct HostRequest {
  net::Worker& worker;
  const extension::PluginSpec& spec;
  const extension::RpcCall& call;  // that the guest is serving
  extension::PluginRecord& record;
  const boost::json::value& params;
};

class HostMethods {
 public:
  // Called once, at once or later, on the request's worker.
  using Reply = std::move_only_function<void(RpcOutcome)>;
  // Returns what cancels a request under way; null when there is nothing to cancel.
  using Method = std::function<services::Pending(const HostRequest&, Reply)>;

  void add(std::string name, Method method) { methods_[std::move(name)] = std::move(method); }
  const Method* find(std::string_view name) const {
    const auto found = methods_.find(name);
    return found == methods_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, Method, std::less<>> methods_;
};

}  // namespace heddle::json_rpc
