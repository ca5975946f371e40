#include "contracts/native_hook/guest_layout.h"

#include <bit>
#include <cstring>
#include <string_view>
#include <variant>

namespace heddle::native_hook {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kMessageSize = 40;
constexpr std::size_t kAuthSize = 20;
constexpr std::size_t kChannelSize = 28;
constexpr std::size_t kFetchSize = 20;

}  // namespace

GuestLayout::GuestLayout(const extension::MessageEvent& event) {
  start(kMessageSize);
  message(0, event);
  point_argument(0);
}

GuestLayout::GuestLayout(const extension::HookEvent& event) {
  std::visit([this](const auto& each) { lay(each); }, event);
}

void GuestLayout::number(std::size_t offset, std::uint64_t value, std::size_t size) {
  std::memcpy(bytes_.data() + offset, &value, size);
}

void GuestLayout::text(std::size_t offset, std::string_view text, bool terminated) {
  number(offset + 4, text.size());
  if (text.empty() && !terminated) return;
  number(offset, bytes_.size());
  pointers_.push_back(offset);
  bytes_ += text;
  if (terminated) bytes_ += '\0';
}

void GuestLayout::point_argument(std::size_t offset) {
  pointing_arguments_.push_back(arguments_.size());
  arguments_.push_back(static_cast<std::int32_t>(offset));
}

void GuestLayout::message(std::size_t offset, const extension::MessageEvent& event) {
  text(offset, event.sender_identity, false);
  text(offset + 8, event.recipient_key, false);
  text(offset + 16, event.channel_id, false);
  number(offset + 24, event.payload_size);
  number(offset + 32, event.seq, sizeof event.seq);
}

void GuestLayout::lay(const extension::SentEvent& /*event*/) {}  // not part of this contract

void GuestLayout::lay(const extension::BatchEvent& event) {
  start(kMessageSize, event.messages.size());
  for (std::size_t i = 0; i < event.messages.size(); ++i) {
    message(i * kMessageSize, event.messages[i]);
  }
  point_argument(0);
  arguments_.push_back(static_cast<std::int32_t>(event.messages.size()));
}

void GuestLayout::lay(const extension::AuthEvent& event) {
  start(kAuthSize);
  text(0, event.username, true);
  number(8, event.success ? 1 : 0);
  text(12, event.failure_reason, true);
  point_argument(0);
}

void GuestLayout::lay(const extension::ChannelEvent& event) {
  start(kChannelSize);
  text(0, event.channel_id, false);
  text(8, event.initiator_key, false);
  text(16, event.peer_key, false);
  number(24, event.was_new ? 1 : 0);
  point_argument(0);
}

void GuestLayout::lay(const extension::FetchEvent& event) {
  start(kFetchSize);
  text(0, event.recipient_key, false);
  text(8, event.channel_id, false);
  number(16, event.message_count);
  point_argument(0);
}

void GuestLayout::lay(const extension::UserEvent& event) {
  point_argument(bytes_.size());
  bytes_ += event.username;
  bytes_ += '\0';
  arguments_.push_back(static_cast<std::int32_t>(event.username.size()));
  point_argument(bytes_.size());
  bytes_ += event.identity_key;
  arguments_.push_back(static_cast<std::int32_t>(event.identity_key.size()));
}

const std::string& GuestLayout::bytes_at(sandbox::GuestPtr base) {
  for (const std::size_t offset : pointers_) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    number(offset, value + base);
  }
  for (const std::size_t index : pointing_arguments_) {
    arguments_[index] =
        static_cast<std::int32_t>(static_cast<std::uint32_t>(arguments_[index]) + base);
  }
  return bytes_;
}

}  // namespace heddle::native_hook
