// Errors as the public API has them, from those of the folders below and of JSON-RPC; and back.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/json_check.h"
#include "base/result.h"
#include "extension/rpc_target.h"
#include "heddle/json.h"

namespace heddle::library {

inline constexpr std::size_t kMaxJsonDepth = 64;  // of what a program gives

v1::Error to_public(heddle::Error error);
v1::Error to_public(extension::RpcError error);
extension::RpcError to_rpc(const v1::Error& error);
extension::RpcOutcome to_outcome(const v1::Result<v1::Json>& answer);

v1::Error not_json(const JsonFault& fault);

// An error (-32602) when the text is not one JSON value. Empty text is none.
v1::Result<void> checked_json(std::string_view text);
// Params as text; the same error when they are nested deeper than kMaxJsonDepth.
v1::Result<std::string> params_text(const v1::Json& params);

// Of a call that did not come to its plugin.
extension::RpcError call_error(int code, std::string_view message, std::string_view cause);

}  // namespace heddle::library
