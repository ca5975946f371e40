// Error objects of JSON-RPC: those that Heddle sends, and the three forms that plugins are known to
// write (reference/origins.md 4.a).
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "extension/rpc_target.h"

namespace heddle::json_rpc {

using extension::RpcError;
using extension::RpcOutcome;

inline RpcOutcome success(std::string result) {
  return {.ok = true, .result = std::move(result)};
}
inline RpcOutcome failure(RpcError error) {
  return {.ok = false, .error = std::move(error)};
}

// With data {"cause": cause}, and {"cause": cause, "detail": detail} when there is a detail.
RpcError rpc_error(int code, std::string message, std::string_view cause,
                   std::string_view detail = {});

// {"code":-32601,"message":"Method not found","data":…}
void append_error(std::string& out, const RpcError& error);

// `{"code":-32601,"message":"…","data":…}`, `{"code":"MethodNotFound","message":"…"}`,
// `"MethodNotFound"` and `{"Custom":"text"}`. Whatever else it is becomes an internal error with
// it as data.
RpcError read_error(const boost::json::value& value);

}  // namespace heddle::json_rpc
