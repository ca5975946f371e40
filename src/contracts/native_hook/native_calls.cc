#include "contracts/native_hook/native_calls.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace heddle::native_hook {
namespace {

using extension::AuthEvent;
using extension::BatchEvent;
using extension::ChannelEvent;
using extension::FetchEvent;
using extension::SentEvent;
using extension::UserEvent;

const std::uint8_t* bytes_of(std::string_view view) {
  return view.empty() ? nullptr : reinterpret_cast<const std::uint8_t*>(view.data());
}

// A copy that ends with NUL; short ones stay on the stack.
class Terminated {
 public:
  explicit Terminated(std::string_view text) {
    char* target = small_.data();
    if (text.size() >= small_.size()) {
      large_ = std::make_unique<char[]>(text.size() + 1);
      target = large_.get();
    }
    std::ranges::copy(text, target);
    target[text.size()] = '\0';
  }
  const std::uint8_t* data() const {
    return reinterpret_cast<const std::uint8_t*>(large_ ? large_.get() : small_.data());
  }

 private:
  std::array<char, 128> small_;
  std::unique_ptr<char[]> large_;
};

struct Teller {
  const HookVTable& table;

  void operator()(const SentEvent& /*event*/) const {}  // not part of this contract
  void operator()(const BatchEvent& event) const {
    std::vector<CMessageEvent> events;
    events.reserve(event.messages.size());
    for (const extension::MessageEvent& each : event.messages) events.push_back(c_event(each));
    table.on_batch_enqueue(table.user_data, events.data(), events.size());
  }
  void operator()(const AuthEvent& event) const {
    const Terminated username(event.username);
    const Terminated reason(event.failure_reason);
    const CAuthEvent out{.username = username.data(),
                         .username_len = event.username.size(),
                         .success = event.success ? 1 : 0,
                         .failure_reason = reason.data(),
                         .failure_reason_len = event.failure_reason.size()};
    table.on_auth(table.user_data, &out);
  }
  void operator()(const ChannelEvent& event) const {
    const CChannelEvent out{.channel_id = bytes_of(event.channel_id),
                            .channel_id_len = event.channel_id.size(),
                            .initiator_key = bytes_of(event.initiator_key),
                            .initiator_key_len = event.initiator_key.size(),
                            .peer_key = bytes_of(event.peer_key),
                            .peer_key_len = event.peer_key.size(),
                            .was_new = event.was_new ? 1 : 0};
    table.on_channel_created(table.user_data, &out);
  }
  void operator()(const FetchEvent& event) const {
    const CFetchEvent out{.recipient_key = bytes_of(event.recipient_key),
                          .recipient_key_len = event.recipient_key.size(),
                          .channel_id = bytes_of(event.channel_id),
                          .channel_id_len = event.channel_id.size(),
                          .message_count = event.message_count};
    table.on_fetch(table.user_data, &out);
  }
  void operator()(const UserEvent& event) const {
    const Terminated username(event.username);
    table.on_user_registered(table.user_data, username.data(), event.username.size(),
                             bytes_of(event.identity_key), event.identity_key.size());
  }
};

}  // namespace

CMessageEvent c_event(const extension::MessageEvent& event) {
  return {.sender_identity = bytes_of(event.sender_identity),
          .sender_identity_len = event.sender_identity.size(),
          .recipient_key = bytes_of(event.recipient_key),
          .recipient_key_len = event.recipient_key.size(),
          .channel_id = bytes_of(event.channel_id),
          .channel_id_len = event.channel_id.size(),
          .payload_len = event.payload_size,
          .seq = event.seq};
}

std::optional<std::string> NativeCalls::enqueue(const CMessageEvent& event) {
  std::unique_lock lock(mutex_, std::defer_lock);
  if (table_.error_message != nullptr) lock.lock();
  if (table_.on_message_enqueue(table_.user_data, &event) == HOOK_CONTINUE) return std::nullopt;
  return reason();
}

std::string NativeCalls::reason() const {
  if (table_.error_message == nullptr) return std::string(kNoReason);
  const auto* text = reinterpret_cast<const char*>(table_.error_message(table_.user_data));
  if (text == nullptr || *text == '\0') return std::string(kNoReason);
  return {text, strnlen(text, kMaxReason)};
}

void NativeCalls::tell(const extension::HookEvent& event) const {
  std::visit(Teller{table_}, event);
}

}  // namespace heddle::native_hook
