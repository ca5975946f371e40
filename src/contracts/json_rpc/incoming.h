// What clients of the server send: a JSON-RPC 2.0 request, notification, answer, or a batch of them
// (jsonrpc.org/specification, sections 4 to 6).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "extension/rpc_target.h"

namespace heddle::json_rpc {

// One message. With `error`: not a request; what to answer, with `id`.
struct Incoming {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  std::string id = {};  // JSON; empty: a notification
  std::string method = {};
  std::string params = {};  // JSON
  std::optional<extension::RpcError> error = std::nullopt;
  // An answer to a request of the server's, where there are any.
  std::optional<extension::RpcOutcome> answer = std::nullopt;
  // NOLINTEND(readability-redundant-member-init)
};

struct IncomingText {
  std::vector<Incoming> messages;  // at least one
  bool batch = false;
};

inline constexpr std::size_t kMaxBatch = 1'000;

// Whatever the text is; one that is not JSON is a message with an error.
IncomingText read_incoming(std::string_view text);

// {"jsonrpc":"2.0","id":1,"result":…}
std::string answer_json(std::string_view id, const extension::RpcOutcome& outcome);

// {"code":-32601,"message":"…","data":…}
std::string error_json(const extension::RpcError& error);

}  // namespace heddle::json_rpc
