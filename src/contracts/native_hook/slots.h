// The callbacks of a HookVTable, numbered as its function slots are ordered.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "extension/message_hook.h"

namespace heddle::native_hook {

enum class Slot : std::uint8_t {
  kMessageEnqueue,
  kBatchEnqueue,
  kAuth,
  kChannelCreated,
  kFetch,
  kUserRegistered,
  kErrorMessage,
  kDestroy,
  kShutdown,
};
inline constexpr std::size_t kSlots = static_cast<std::size_t>(Slot::kShutdown) + 1;
inline constexpr std::array<std::string_view, kSlots> kSlotNames = {
    "on_message_enqueue", "on_batch_enqueue", "on_auth", "on_channel_created", "on_fetch",
    "on_user_registered", "error_message",    "destroy", "on_shutdown"};

// Which slots a plugin has filled.
using SlotSet = std::array<bool, kSlots>;

constexpr bool has(const SlotSet& slots, Slot slot) {
  return slots[static_cast<std::size_t>(slot)];
}

// The slot that is called at this moment of the service; kErrorMessage at those without one.
constexpr Slot slot_at(extension::HookMoment moment) {
  using extension::HookMoment;
  switch (moment) {
    case HookMoment::kEnqueue:
      return Slot::kMessageEnqueue;
    case HookMoment::kBatch:
      return Slot::kBatchEnqueue;
    case HookMoment::kAuth:
      return Slot::kAuth;
    case HookMoment::kChannel:
      return Slot::kChannelCreated;
    case HookMoment::kFetch:
      return Slot::kFetch;
    case HookMoment::kUser:
      return Slot::kUserRegistered;
    case HookMoment::kSend:
    case HookMoment::kSent:
      break;
  }
  return Slot::kErrorMessage;
}

constexpr bool is_called(const SlotSet& slots, extension::HookMoment moment) {
  const Slot slot = slot_at(moment);
  return slot != Slot::kErrorMessage && has(slots, slot);
}

// What a sender is told when a plugin gives no reason.
inline constexpr std::string_view kNoReason = "rejected by plugin";
// A reason is cut there.
inline constexpr std::size_t kMaxReason = 1'024;

}  // namespace heddle::native_hook
