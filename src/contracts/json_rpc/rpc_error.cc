#include "contracts/json_rpc/rpc_error.h"

#include <algorithm>
#include <array>
#include <boost/json/value.hpp>
#include <limits>
#include <optional>

#include "base/json_write.h"
#include "base/log.h"

namespace heddle::json_rpc {
namespace {

struct NamedCode {
  std::string_view name;
  int code;
  std::string_view message;
};
// The variants of the framework's RpcErrorCode.
constexpr auto kCodes = std::to_array<NamedCode>({
    {"ParseError", RpcError::kParseError, "Parse error"},
    {"InvalidRequest", RpcError::kInvalidRequest, "Invalid request"},
    {"MethodNotFound", RpcError::kMethodNotFound, "Method not found"},
    {"InvalidParams", RpcError::kInvalidParams, "Invalid params"},
    {"InternalError", RpcError::kInternalError, "Internal error"},
    {"InvalidInput", RpcError::kInvalidInput, "Invalid input"},
    {"ResourceNotFound", RpcError::kResourceNotFound, "Resource not found"},
    {"ResourceUnavailable", RpcError::kResourceUnavailable, "Resource unavailable"},
    {"TransactionRejected", RpcError::kTransactionRejected, "Transaction rejected"},
    {"MethodNotSupported", RpcError::kMethodNotSupported, "Method not supported"},
    {"LimitExceeded", RpcError::kLimitExceeded, "Limit exceeded"},
    {"JsonRpcVersionNotSupported", RpcError::kVersionNotSupported,
     "JSON-RPC version not supported"},
});

// An unknown name is the text of a "Custom" error.
RpcError named(std::string_view name) {
  const auto found = std::ranges::find(kCodes, name, &NamedCode::name);
  if (found == kCodes.end()) return {RpcError::kInvalidInput, std::string(name)};
  return {found->code, std::string(found->message)};
}

std::optional<int> integer_code(const boost::json::value& value) {
  boost::system::error_code error;
  const auto number = value.to_number<std::int64_t>(error);
  if (error || number < std::numeric_limits<int>::min() ||
      number > std::numeric_limits<int>::max()) {
    return std::nullopt;
  }
  return static_cast<int>(number);
}

std::optional<RpcError> read_object(const boost::json::object& object) {
  const auto* custom = object.if_contains("Custom");
  if (custom != nullptr && custom->is_string())
    return RpcError{RpcError::kInvalidInput, std::string(custom->get_string())};
  const auto* code = object.if_contains("code");
  if (code == nullptr) return std::nullopt;
  RpcError out;
  if (code->is_string()) {
    out = named(code->get_string());
  } else if (const auto number = integer_code(*code)) {
    out.code = *number;
  } else {
    return std::nullopt;
  }
  if (const auto* message = object.if_contains("message");
      message != nullptr && message->is_string())
    out.message = std::string(message->get_string());
  if (const auto* data = object.if_contains("data")) out.data = write_json(*data);
  return out;
}

}  // namespace

RpcError rpc_error(int code, std::string message, std::string_view cause, std::string_view detail) {
  RpcError out{code, std::move(message), R"({"cause":)", std::string(cause)};
  append_json_string(out.data, cause);
  if (!detail.empty()) {
    out.data += R"(,"detail":)";
    append_json_string(out.data, detail);
  }
  out.data += '}';
  return out;
}

void append_error(std::string& out, const RpcError& error) {
  out += R"({"code":)";
  out += std::to_string(error.code);
  out += R"(,"message":)";
  append_json_string(out, error.message);
  if (!error.data.empty()) {
    out += R"(,"data":)";
    out += error.data;
  }
  out += '}';
}

RpcError read_error(const boost::json::value& value) {
  if (value.is_string()) return named(value.get_string());
  if (value.is_object()) {
    if (auto error = read_object(value.get_object())) return *error;
  }
  RpcError out = rpc_error(RpcError::kInternalError, "the plugin reported an error of unknown form",
                           "plugin_error", write_json(value));
  return out;
}

}  // namespace heddle::json_rpc
