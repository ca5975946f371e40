// Errors as the public API has them, from those of the folders below and of JSON-RPC; and back.
#pragma once

#include <string_view>

#include "base/result.h"
#include "extension/rpc_target.h"
#include "heddle/json.h"

namespace heddle::library {

v1::Error to_public(heddle::Error error);
v1::Error to_public(extension::RpcError error);
extension::RpcError to_rpc(const v1::Error& error);
extension::RpcOutcome to_outcome(const v1::Result<v1::Json>& answer);

// An error (-32602) when the text is not one JSON value. Empty text is none.
v1::Result<void> checked_json(std::string_view text);

// Of a call that did not come to its plugin.
extension::RpcError call_error(int code, std::string_view message, std::string_view cause);

}  // namespace heddle::library
