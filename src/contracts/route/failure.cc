#include "contracts/route/failure.h"

#include "base/log.h"

namespace heddle::route {

Failure failure_of(const sandbox::Trap& trap) {
  const std::string message = "the plugin failed in " + trap.function + ": " + trap.message;
  switch (trap.reason) {
    case sandbox::TrapReason::kCpuLimit:
      return {.status = 504, .code = "cpu_limit", .message = message};
    case sandbox::TrapReason::kMemoryLimit:
      return {.status = 507, .code = "memory_limit", .message = message};
    case sandbox::TrapReason::kTableLimit:
      return {.status = 507, .code = "table_elements", .message = message};
    case sandbox::TrapReason::kHostCallLimit:
      return {.status = 507, .code = "host_calls", .message = message};
    default:
      return {.status = 500, .code = "plugin_error", .message = message};
  }
}

Failure failure_of(const Error& error) {
  return {.status = 503, .code = "plugin_unavailable", .message = error.message};
}

std::string failure_json(const Failure& failure, const std::string& request_id) {
  std::string out = R"({"error":{"code":)";
  append_json_string(out, failure.code);
  out += R"(,"message":)";
  append_json_string(out, failure.message);
  out += R"(,"request_id":)";
  append_json_string(out, request_id);
  out += "}}\n";
  return out;
}

}  // namespace heddle::route
