#include "contracts/json_rpc/line_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "base/json_check.h"
#include "base/json_parse.h"
#include "base/json_write.h"
#include "base/log.h"
#include "base/utf8.h"

namespace heddle::json_rpc {
namespace {

constexpr std::size_t kSmallMessage = 4096;  // bytes of values that are made without an allocation
constexpr std::size_t kShown = 200;          // bytes of a bad line that an error quotes

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string_view shown(std::string_view text) {
  return text.substr(0, kShown);
}

bool has_version(const boost::json::object& object) {
  const auto* version = object.if_contains("jsonrpc");
  return version != nullptr && version->is_string() && version->get_string() == "2.0";
}

bool is_id(const boost::json::value& value) {
  return value.is_number() || value.is_string() || value.is_null();
}

// Whether an id is the one of the host's request.
bool is_ours(const boost::json::value* id, std::int64_t ours) {
  if (id == nullptr || !id->is_number()) return false;
  boost::system::error_code error;
  return id->to_number<std::int64_t>(error) == ours && !error;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool take_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

// JSON has newlines only between its tokens, where a space does as well.
void to_one_line(std::string& text, std::size_t from) {
  for (const char blank : {'\n', '\r'}) {
    for (std::size_t at = text.find(blank, from); at != std::string::npos;
         at = text.find(blank, at)) {
      text[at] = ' ';
    }
  }
}

Violation why_not_json(std::string_view line, const boost::system::error_code& error) {
  if (error == boost::json::error::too_deep) return Violation::kTooDeep;
  return is_utf8(line) ? Violation::kNotJson : Violation::kNotUtf8;
}

}  // namespace

std::string_view to_string(Violation violation) {
  static constexpr std::array<std::string_view, 8> kNames{
      "not_json",      "not_utf8",        "not_json_rpc", "too_deep",
      "line_too_long", "output_too_long", "wrong_id",     "second_answer"};
  return kNames[static_cast<std::size_t>(violation)];
}

void LineProtocol::call(std::string_view method, std::string_view params) {
  id_ = next_id_++;
  answered_ = false;
  received_ = 0;
  std::string out = fmt::format(R"({{"jsonrpc":"2.0","id":{},"method":)", id_);
  append_json_string(out, method);
  out += R"(,"params":)";
  const std::size_t from = out.size();
  out += params.empty() ? "null" : params;
  to_one_line(out, from);
  out += "}\n";
  handler_.on_send(std::move(out));
}

// What came before the limit still counts.
void LineProtocol::feed(std::string_view bytes) {
  const std::size_t room = limits_.output - received_;
  const bool over = bytes.size() > room;
  received_ += std::min(bytes.size(), room);
  split(bytes.substr(0, room));
  if (!over || !accepts()) return;
  violate(Violation::kOutputTooLong, fmt::format("more than {} bytes of output", limits_.output));
  broken_ = true;
}

void LineProtocol::split(std::string_view bytes) {
  while (!bytes.empty() && accepts()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    if (!skipping_ && partial_.size() + part.size() > limits_.line) {
      violate(Violation::kLineTooLong, fmt::format("a line of more than {} bytes", limits_.line));
      partial_.clear();
      skipping_ = true;
    }
    if (end == std::string_view::npos) {
      if (!skipping_) partial_ += part;
      return;
    }
    if (std::exchange(skipping_, false)) continue;
    if (partial_.empty()) {
      line(part);
    } else {
      partial_ += part;
      line(std::exchange(partial_, {}));
    }
  }
}

void LineProtocol::end() {
  if (accepts() && !partial_.empty()) line(std::exchange(partial_, {}));
}

void LineProtocol::line(std::string_view text) {
  if (is_blank(text) || plain_answer(text)) return;
  boost::system::error_code error;
  const boost::json::parse_options options{.max_depth = limits_.depth};
  std::array<unsigned char, kSmallMessage> buffer;
  boost::json::monotonic_resource memory(buffer.data(), buffer.size());
  const boost::json::value value = parse_json(text, error, &memory, options);
  if (error) {
    violate(why_not_json(text, error), shown(text));
  } else if (value.is_array()) {
    batch(value.get_array());
  } else {
    message(value, nullptr);
  }
}

// The answer as most guests write it: without blanks, `result` last or before the id. Its text is
// what goes to the caller, so no values are made of it. False, and nothing done: anything else.
bool LineProtocol::plain_answer(std::string_view text) {
  if (answered_ || !take_prefix(text, R"({"jsonrpc":"2.0",)")) return false;
  const std::string id = fmt::format(R"("id":{})", id_);
  const bool id_first = take_prefix(text, id);
  if (id_first && !take_prefix(text, ",")) return false;
  if (!take_prefix(text, R"("result":)") || !take_suffix(text, "}")) return false;
  if (!id_first && !(take_suffix(text, id) && take_suffix(text, ","))) return false;
  if (check_json(text, limits_.depth - 1)) return false;
  answered_ = true;
  handler_.on_result(std::string(text));
  return true;
}

void LineProtocol::batch(const boost::json::array& messages) {
  if (messages.empty()) return violate(Violation::kNotJsonRpc, "an empty batch");
  auto group = std::make_shared<Batch>();
  ++group->waiting;  // the batch itself, until all of it was read
  for (const boost::json::value& item : messages) {
    if (!accepts()) return;
    message(item, group);
  }
  if (--group->waiting == 0) send_batch(*group);
}

void LineProtocol::message(const boost::json::value& value, const std::shared_ptr<Batch>& batch) {
  const auto* object = value.if_object();
  if (object == nullptr || !has_version(*object)) {
    return violate(Violation::kNotJsonRpc, shown(write_json(value)));
  }
  if (object->contains("method")) {
    request(*object, batch);
  } else if (object->contains("result") || object->contains("error")) {
    answer(*object);
  } else {
    violate(Violation::kNotJsonRpc, shown(write_json(value)));
  }
}

void LineProtocol::request(const boost::json::object& object, const std::shared_ptr<Batch>& batch) {
  const auto* id = object.if_contains("id");
  const auto& method = object.at("method");
  if (!method.is_string() || (id != nullptr && !is_id(*id))) {
    return violate(Violation::kNotJsonRpc, "a request whose method or id is of a wrong type");
  }
  const boost::json::value none;
  const auto* given = object.if_contains("params");
  const boost::json::value& params = given == nullptr ? none : *given;
  if (id == nullptr) return handler_.on_notification(method.get_string(), params);

  Open open{write_json(*id), batch};
  if (batch) ++batch->waiting;
  if (!id->is_null() && !open_ids_.insert(open.id).second) {
    std::string error;
    append_error(
        error, rpc_error(RpcError::kInvalidRequest,
                         fmt::format("id {} is that of an open request", open.id), "duplicate_id"));
    return reply(open, "error", error);
  }
  const Token token = next_token_++;
  open_.emplace(token, std::move(open));
  handler_.on_request(token, method.get_string(), params);
}

// An error is the answer whatever its id, as in the framework: a guest that could not read the
// request knows none.
void LineProtocol::answer(const boost::json::object& object) {
  const auto* error = object.if_contains("error");
  const auto* result = object.if_contains("result");
  const bool failed = error != nullptr && (!error->is_null() || result == nullptr);
  if (failed && result != nullptr && !result->is_null())
    return violate(Violation::kNotJsonRpc, "an answer with both result and error");
  const auto* id = object.if_contains("id");
  if (!failed && !is_ours(id, id_)) {
    return violate(
        Violation::kWrongId,
        fmt::format("an answer with id {}; the request's is {}",
                    id == nullptr ? "missing" : std::string(shown(write_json(*id))), id_));
  }
  if (answered_) return violate(Violation::kSecondAnswer, "a second answer");
  answered_ = true;
  if (failed) {
    handler_.on_error(read_error(*error));
  } else {
    handler_.on_result(write_json(*result));
  }
}

void LineProtocol::violate(Violation violation, std::string_view detail) {
  if (!answered_) broken_ = true;
  handler_.on_violation(violation, detail);
}

void LineProtocol::succeed(Token token, std::string_view result) {
  const auto found = open_.find(token);
  if (found == open_.end()) return;
  const Open open = std::move(found->second);
  open_.erase(found);
  open_ids_.erase(open.id);
  reply(open, "result", result.empty() ? "null" : result);
}

void LineProtocol::fail(Token token, const RpcError& error) {
  const auto found = open_.find(token);
  if (found == open_.end()) return;
  const Open open = std::move(found->second);
  open_.erase(found);
  open_ids_.erase(open.id);
  std::string text;
  append_error(text, error);
  reply(open, "error", text);
}

void LineProtocol::reply(const Open& open, std::string_view key, std::string_view value) {
  std::string out = fmt::format(R"({{"jsonrpc":"2.0","id":{},"{}":{}}})", open.id, key, value);
  to_one_line(out, 0);
  if (!open.batch) {
    out += '\n';
    return handler_.on_send(std::move(out));
  }
  const std::size_t before = open.batch->out.size();
  if (before > 0) open.batch->out += ',';
  open.batch->out += out;
  held_ += open.batch->out.size() - before;
  if (--open.batch->waiting == 0) send_batch(*open.batch);
}

void LineProtocol::send_batch(const Batch& batch) {
  if (batch.out.empty()) return;
  held_ -= batch.out.size();
  handler_.on_send("[" + batch.out + "]\n");
}

}  // namespace heddle::json_rpc
