#include "library/errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "contracts/json_rpc/call_errors.h"
#include "library/json_access.h"

namespace heddle::library {
namespace {

v1::ErrorKind kind_of(heddle::ErrorKind kind) {
  switch (kind) {
    case heddle::ErrorKind::kInvalidArgument:
      return v1::ErrorKind::kInvalidArgument;
    case heddle::ErrorKind::kNotFound:
      return v1::ErrorKind::kNotFound;
    case heddle::ErrorKind::kConflict:
      return v1::ErrorKind::kConflict;
    case heddle::ErrorKind::kPermission:
      return v1::ErrorKind::kPermission;
    case heddle::ErrorKind::kLimit:
    case heddle::ErrorKind::kTimeout:
      return v1::ErrorKind::kLimit;
    case heddle::ErrorKind::kUnavailable:
    case heddle::ErrorKind::kIo:
      return v1::ErrorKind::kUnavailable;
    case heddle::ErrorKind::kTrap:
      return v1::ErrorKind::kPlugin;
    default:
      return v1::ErrorKind::kInternal;
  }
}

// Stops at the bound: a text of it, and its own recursion, would not.
bool is_deeper(const boost::json::value& value, std::size_t levels) {
  const auto within = [&](const boost::json::value& item) { return is_deeper(item, levels - 1); };
  if (const auto* array = value.if_array()) {
    return levels == 0 || std::ranges::any_of(*array, within);
  }
  if (const auto* object = value.if_object()) {
    return levels == 0 ||
           std::ranges::any_of(*object, [&](const auto& member) { return within(member.value()); });
  }
  return false;
}

v1::Error too_deep() {
  return {.kind = v1::ErrorKind::kInvalidArgument,
          .message = fmt::format("nested more than {} levels deep", kMaxJsonDepth)};
}

v1::Error params_error(v1::Error error) {
  error.message = "params are " + error.message;
  error.code = extension::RpcError::kInvalidParams;
  error.cause = "params";
  return error;
}

}  // namespace

v1::Error to_public(heddle::Error error) {
  return {.kind = kind_of(error.kind), .message = std::move(error.message)};
}

// A plugin may use the code of limits for errors of its own.
v1::Error to_public(extension::RpcError error) {
  v1::Error out;
  out.cause = json_rpc::cause_of(error);
  const bool own = out.cause == "plugin_error";
  const bool limit = !own && error.code == extension::RpcError::kLimitExceeded;
  out.kind = limit ? v1::ErrorKind::kLimit : v1::ErrorKind::kPlugin;
  if (error.code == extension::RpcError::kMethodNotFound) out.kind = v1::ErrorKind::kNotFound;
  out.code = error.code;
  out.message = std::move(error.message);
  if (!error.data.empty()) {
    if (auto data = v1::Json::parse(error.data)) out.data = std::move(*data);
  }
  if (!own && out.data["detail"].is_text()) {
    out.message += fmt::format(" ({})", out.data["detail"].text());
  }
  return out;
}

extension::RpcError to_rpc(const v1::Error& error) {
  extension::RpcError out;
  if (error.code != 0) out.code = error.code;
  out.message = error.message;
  if (!error.data.is_null()) out.data = error.data.dump();
  return out;
}

extension::RpcOutcome to_outcome(const v1::Result<v1::Json>& answer) {
  if (!answer) return json_rpc::failure(to_rpc(answer.error()));
  if (is_deeper(v1::JsonAccess::of(*answer), kMaxJsonDepth))
    return json_rpc::failure(to_rpc(too_deep()));
  return json_rpc::success(answer->dump());
}

v1::Error not_json(const JsonFault& fault) {
  return {.kind = v1::ErrorKind::kInvalidArgument,
          .message = fmt::format("not JSON: {} at byte {}", fault.why, fault.at)};
}

v1::Result<void> checked_json(std::string_view text) {
  const auto fault = check_json(text, kMaxJsonDepth);
  if (!fault) return {};
  return std::unexpected(params_error(not_json(*fault)));
}

v1::Result<std::string> params_text(const v1::Json& params) {
  if (!is_deeper(v1::JsonAccess::of(params), kMaxJsonDepth)) return params.dump();
  return std::unexpected(params_error(too_deep()));
}

extension::RpcError call_error(int code, std::string_view message, std::string_view cause) {
  return json_rpc::rpc_error(code, std::string(message), cause);
}

}  // namespace heddle::library
