#include "messaging/api_requests.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "messaging/json.h"
#include "messaging/query.h"
#include "services/crypto.h"

namespace heddle::messaging {
namespace {

// What both SQLite and PostgreSQL count to.
constexpr std::uint64_t kMaxSeq = std::numeric_limits<std::int64_t>::max();

std::unexpected<Refusal> bad(std::string message) {
  return refuse(400, "bad_request", std::move(message));
}

Outcome<void> parse_content(const boost::json::object& body, SendRequest& out) {
  const bool text = body.contains("text");
  out.encrypted = body.contains("payload");
  if (text == out.encrypted) return bad("a message has either text or payload");
  auto content = text_member(body, text ? "text" : "payload");
  if (!content) return std::unexpected(std::move(content.error()));
  if (text) {
    out.body = std::move(*content);
    return {};
  }
  auto bytes = services::from_base64(*content);
  if (!bytes) return bad("payload is not base64");
  out.body = std::move(*bytes);
  return {};
}

Outcome<void> parse_files(const boost::json::object& body, SendRequest& out) {
  const auto* files = body.if_contains("involved_files");
  if (files == nullptr) return {};
  if (!files->is_array()) return bad("involved_files is not a list");
  for (const auto& file : files->as_array()) {
    if (!file.is_string()) return bad("involved_files has an item that is not a string");
    out.files.emplace_back(file.as_string());
  }
  return {};
}

Outcome<std::chrono::milliseconds> parse_wait(std::string text) {
  if (text.empty()) return std::chrono::milliseconds(0);
  std::int64_t unit = 1'000;
  if (text.ends_with("ms")) {
    unit = 1;
    text.resize(text.size() - 2);
  } else if (text.ends_with('s')) {
    text.pop_back();
  }
  std::uint32_t count = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (wrong != std::errc() || end != text.data() + text.size()) {
    return bad("wait is not a time such as 20s or 500ms");
  }
  return std::chrono::milliseconds(count * unit);
}

}  // namespace

Outcome<SendRequest> parse_message(const boost::json::object& body) {
  SendRequest out;
  auto recipient = key_member(body, "recipient_key");
  if (!recipient) return std::unexpected(std::move(recipient.error()));
  out.recipient_key = std::move(*recipient);
  auto hex = text_member(body, "channel_id");
  if (!hex) return std::unexpected(std::move(hex.error()));
  auto channel = parse_channel_id(*hex);
  if (!channel) return bad("channel_id is not 16 bytes in hex");
  out.channel_id = std::move(*channel);
  if (auto right = parse_content(body, out); !right) return std::unexpected(right.error());
  if (auto right = parse_files(body, out); !right) return std::unexpected(right.error());
  if (const auto* sealed = body.if_contains("sealed")) {
    if (!sealed->is_bool()) return bad("sealed is not true or false");
    out.sealed = sealed->as_bool();
  }
  if (body.contains("client_message_id")) {
    auto id = text_member(body, "client_message_id");
    if (!id) return std::unexpected(std::move(id.error()));
    out.client_message_id = std::move(*id);
  }
  return out;
}

Outcome<std::vector<Outcome<SendRequest>>> parse_batch(const boost::json::object& body,
                                                       std::size_t max) {
  const auto* messages = body.if_contains("messages");
  if (messages == nullptr || !messages->is_array()) return bad("messages is not a list");
  const auto& list = messages->as_array();
  if (list.empty() || list.size() > max) {
    return bad("a batch has 1 to " + std::to_string(max) + " messages (messaging.max_batch)");
  }
  std::vector<Outcome<SendRequest>> out;
  for (const auto& item : list) {
    if (item.is_object()) {
      out.push_back(parse_message(item.as_object()));
    } else {
      out.emplace_back(bad("a message is not a JSON object"));
    }
  }
  return out;
}

Outcome<FetchRequest> parse_fetch(const std::string& query, const config::Messaging& settings) {
  auto parameters = QueryParameters::parse(query, {"after", "channel", "limit", "wait"});
  if (!parameters) return std::unexpected(std::move(parameters.error()));
  FetchRequest out;
  auto after = parameters->number("after", 0, kMaxSeq);
  if (!after) return std::unexpected(std::move(after.error()));
  out.after = *after;
  auto limit = parameters->number("limit", 100, kMaxSeq);
  if (!limit) return std::unexpected(std::move(limit.error()));
  if (*limit == 0) return bad("limit is 0, and a fetch wants something");
  out.limit = std::min<std::size_t>(*limit, settings.max_fetch);
  if (const std::string channel = parameters->text("channel"); !channel.empty()) {
    auto id = parse_channel_id(channel);
    if (!id) return bad("channel is not 16 bytes in hex");
    out.channel_id = std::move(*id);
  }
  auto wait = parse_wait(parameters->text("wait"));
  if (!wait) return std::unexpected(std::move(wait.error()));
  out.wait = std::min<std::chrono::milliseconds>(*wait, settings.max_wait);
  return out;
}

Outcome<std::uint64_t> parse_up_to(const boost::json::object& body) {
  const auto* value = body.if_contains("up_to");
  if (value == nullptr) return bad("up_to is missing");
  boost::system::error_code wrong;
  const auto out = value->to_number<std::uint64_t>(wrong);
  if (wrong || value->is_double() || out > kMaxSeq) return bad("up_to is not a seq");
  return out;
}

}  // namespace heddle::messaging
