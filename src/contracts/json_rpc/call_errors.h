// What a caller is told when the plugin did not answer: a JSON-RPC error with the cause in `data`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "contracts/json_rpc/line_protocol.h"
#include "contracts/json_rpc/rpc_error.h"
#include "sandbox/instance.h"

namespace heddle::json_rpc {

RpcError limit_error(std::string_view limit, std::string_view detail);
RpcError violation_error(Violation violation, std::string_view detail);
RpcError no_answer_error(std::int32_t exit_code);
RpcError trap_error(const sandbox::Trap& trap);
RpcError start_error(const Error& error);
// Of a service, for the guest that asked it.
RpcError service_error(const Error& error);

// The cause of an error of Heddle's own; else "plugin_error", whatever its data say.
std::string cause_of(const RpcError& error);

}  // namespace heddle::json_rpc
