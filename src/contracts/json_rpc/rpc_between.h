// The host method rpc.call: a plugin calls another one.
//
//   {"plugin","method","params"?} -> its result; its error is the caller's
#pragma once

#include "contracts/json_rpc/host_methods.h"
#include "extension/rpc_targets.h"

namespace heddle::json_rpc {

inline constexpr std::size_t kMaxCallDepth = 8;

HostMethods::Method rpc_between(const extension::RpcTargets& targets);

}  // namespace heddle::json_rpc
