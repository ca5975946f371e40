#include "contracts/json_rpc/call_errors.h"

#include <fmt/format.h>

namespace heddle::json_rpc {

RpcError limit_error(std::string_view limit, std::string_view detail) {
  return rpc_error(RpcError::kLimitExceeded, fmt::format("limit of the plugin reached: {}", limit),
                   limit, detail);
}

RpcError violation_error(Violation violation, std::string_view detail) {
  switch (violation) {
    case Violation::kLineTooLong:
    case Violation::kOutputTooLong:
      return limit_error(to_string(violation), detail);
    case Violation::kWrongId:
      return rpc_error(RpcError::kInternalError, "the plugin answered with a wrong id",
                       to_string(violation), detail);
    default:
      return rpc_error(RpcError::kParseError, "the plugin wrote a line that is not JSON-RPC",
                       to_string(violation), detail);
  }
}

RpcError no_answer_error(std::int32_t exit_code) {
  return rpc_error(RpcError::kInternalError, "the plugin ended without an answer", "no_answer",
                   fmt::format("exit code {}", exit_code));
}

RpcError trap_error(const sandbox::Trap& trap) {
  using sandbox::TrapReason;
  const std::string_view reason = sandbox::to_string(trap.reason);
  switch (trap.reason) {
    case TrapReason::kTimeout:
    case TrapReason::kMemoryLimit:
    case TrapReason::kTableLimit:
    case TrapReason::kHostCallLimit:
    case TrapReason::kCpuLimit:
      return limit_error(reason, trap.message);
    default:
      return rpc_error(RpcError::kInternalError, "the plugin trapped", reason, trap.message);
  }
}

RpcError start_error(const Error& error) {
  if (error.kind == ErrorKind::kLimit) return limit_error("instances", error.message);
  return rpc_error(RpcError::kInternalError, "the plugin could not be started", "start",
                   error.message);
}

RpcError service_error(const Error& error) {
  const auto code = [&] {
    switch (error.kind) {
      case ErrorKind::kInvalidArgument:
        return RpcError::kInvalidParams;
      case ErrorKind::kNotFound:
        return RpcError::kResourceNotFound;
      case ErrorKind::kConflict:
        return RpcError::kTransactionRejected;
      case ErrorKind::kLimit:
        return RpcError::kLimitExceeded;
      case ErrorKind::kPermission:
      case ErrorKind::kTimeout:
      case ErrorKind::kUnavailable:
        return RpcError::kResourceUnavailable;
      default:
        return RpcError::kInternalError;
    }
  }();
  return rpc_error(code, error.message, to_string(error.kind));
}

std::string cause_of(const RpcError& error) {
  return error.cause.empty() ? "plugin_error" : error.cause;
}

}  // namespace heddle::json_rpc
