#include "contracts/json_rpc/incoming.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "base/json_parse.h"
#include "base/json_write.h"
#include "contracts/json_rpc/rpc_error.h"

namespace heddle::json_rpc {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 64;

Incoming invalid(std::string id, std::string_view detail) {
  return {
      .id = id.empty() ? "null" : std::move(id),
      .error = rpc_error(RpcError::kInvalidRequest, "Invalid Request", "invalid_request", detail)};
}

Incoming read_answer(const json::object& object, std::string id) {
  Incoming out{.id = std::move(id)};
  if (const auto* error = object.if_contains("error"); error != nullptr && !error->is_null()) {
    out.answer = extension::RpcOutcome{.ok = false, .error = read_error(*error)};
  } else {
    const auto* result = object.if_contains("result");
    out.answer = extension::RpcOutcome{.ok = true,
                                       .result = result == nullptr ? "null" : write_json(*result)};
  }
  return out;
}

Incoming read_message(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return invalid({}, "a request is an object");
  std::string id;
  if (const auto* given = object->if_contains("id")) {
    if (!given->is_number() && !given->is_string() && !given->is_null())
      return invalid({}, "an id is a string, a number or null");
    id = write_json(*given);
  }
  const auto* version = object->if_contains("jsonrpc");
  if (version == nullptr || !version->is_string() || version->get_string() != "2.0")
    return invalid(id, R"("jsonrpc" must be "2.0")");
  const auto* method = object->if_contains("method");
  if (method == nullptr && !id.empty() &&
      (object->contains("result") || object->contains("error"))) {
    return read_answer(*object, std::move(id));
  }
  if (method == nullptr || !method->is_string()) return invalid(id, "method must be a string");
  const auto* params = object->if_contains("params");
  return {.id = std::move(id),
          .method = std::string(method->get_string()),
          .params = params == nullptr ? "null" : write_json(*params)};
}

}  // namespace

IncomingText read_incoming(std::string_view text) {
  IncomingText out;
  boost::system::error_code error;
  const json::value value = parse_json(text, error, {}, {.max_depth = kMaxDepth});
  if (error) {
    out.messages.push_back(
        {.id = "null",
         .error =
             rpc_error(RpcError::kParseError, "Parse error",
                       error == json::error::too_deep ? "too_deep" : "not_json", error.message())});
    return out;
  }
  const auto* list = value.if_array();
  if (list == nullptr) {
    out.messages.push_back(read_message(value));
  } else if (list->empty()) {
    out.messages.push_back(invalid({}, "an empty batch"));
  } else if (list->size() > kMaxBatch) {
    out.messages.push_back(invalid({}, fmt::format("a batch of more than {} requests", kMaxBatch)));
  } else {
    out.batch = true;
    for (const json::value& item : *list) out.messages.push_back(read_message(item));
  }
  return out;
}

std::string error_json(const extension::RpcError& error) {
  std::string out;
  append_error(out, error);
  return out;
}

std::string answer_json(std::string_view id, const extension::RpcOutcome& outcome) {
  std::string out = R"({"jsonrpc":"2.0","id":)";
  out += id;
  if (outcome.ok) {
    out += R"(,"result":)" + (outcome.result.empty() ? "null" : outcome.result);
  } else {
    out += R"(,"error":)";
    append_error(out, outcome.error);
  }
  return out + '}';
}

}  // namespace heddle::json_rpc
