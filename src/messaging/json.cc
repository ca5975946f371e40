#include "messaging/json.h"

#include "base/log.h"
#include "services/crypto.h"

namespace heddle::messaging {
namespace {

constexpr std::size_t kMaxDepth = 16;

std::unexpected<Refusal> bad(std::string message) {
  return refuse(400, "bad_request", std::move(message));
}

std::optional<unsigned> nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

}  // namespace

Outcome<boost::json::object> parse_object(std::string_view body) {
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::system::error_code failed;
  auto value = boost::json::parse(body, failed, {}, options);
  if (failed) return bad("the body is not JSON: " + failed.message());
  if (!value.is_object()) return bad("the body is not a JSON object");
  return std::move(value.as_object());
}

Outcome<std::string> text_member(const boost::json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return bad(std::string(name) + " is missing");
  if (!value->is_string()) return bad(std::string(name) + " is not a string");
  return std::string(value->as_string());
}

Outcome<std::string> key_member(const boost::json::object& object, std::string_view name) {
  auto text = text_member(object, name);
  if (!text) return text;
  auto bytes = services::from_base64(*text);
  if (!bytes) return bad(std::string(name) + " is not base64");
  if (bytes->size() != kIdentityKeyBytes) {
    return bad(std::string(name) + " has " + std::to_string(bytes->size()) +
               " bytes instead of 32");
  }
  return std::move(*bytes);
}

std::optional<std::string> parse_channel_id(std::string_view hex) {
  if (hex.size() != 2 * kChannelIdBytes) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const auto high = nibble(hex[i]);
    const auto low = nibble(hex[i + 1]);
    if (!high || !low) return std::nullopt;
    out += static_cast<char>(*high << 4U | *low);
  }
  return out;
}

std::string time_text(std::int64_t ms) {
  std::string out;
  append_timestamp(out, ms * 1'000'000);
  return out;
}

boost::json::object describe(const StoredMessage& message) {
  boost::json::object out;
  out["id"] = message.id;
  out["seq"] = message.seq;
  out["channel_id"] = services::hex_of(message.channel_id);
  if (message.sender_key.empty()) {
    out["sender_key"] = nullptr;
  } else {
    out["sender_key"] = services::base64_of(message.sender_key);
  }
  if (message.encrypted) {
    out["payload"] = services::base64_of(message.body);
  } else {
    out["text"] = message.body;
  }
  boost::json::array files;
  for (const std::string& file : message.files) files.emplace_back(file);
  out["involved_files"] = std::move(files);
  out["sent_at"] = time_text(message.sent_at);
  return out;
}

boost::json::object describe(const Refusal& refusal) {
  boost::json::object error;
  error["code"] = refusal.code;
  error["message"] = refusal.message;
  if (!refusal.plugin.empty()) error["plugin"] = refusal.plugin;
  boost::json::object out;
  out["error"] = std::move(error);
  return out;
}

}  // namespace heddle::messaging
