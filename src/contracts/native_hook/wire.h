// Calls and answers as they stand in the rings between the server and a child process. Both are the
// same program, so numbers are in its own order of bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/native_hook/slots.h"
#include "extension/message_hook.h"

namespace heddle::native_hook {

// A call that was taken apart. Its events point into the record and into this.
struct ChildCall {
  std::uint64_t id = 0;
  Slot slot = Slot::kMessageEnqueue;
  extension::MessageEvent message;                // of kMessageEnqueue
  std::vector<extension::MessageEvent> messages;  // of kBatchEnqueue
  extension::HookEvent event;                     // of the slots that are told
};

std::string write_call(std::uint64_t id, const extension::MessageEvent& event);
std::string write_call(std::uint64_t id, const extension::HookEvent& event);
// kShutdown and kDestroy.
std::string write_call(std::uint64_t id, Slot slot);
Result<void> read_call(std::string_view record, ChildCall& call);

enum class ChildOutcome : std::uint8_t {
  kStarted,   // the first answer; text: a '1' for each slot that is filled, else '0'
  kRefused,   // instead of it; text: why
  kDone,      // or: the message may go on
  kRejected,  // text: why
  kThrew,     // an exception came out of the plugin
};

struct ChildAnswer {
  std::uint64_t id = 0;  // of the call; 0: the start
  ChildOutcome outcome = ChildOutcome::kDone;
  std::int64_t nanoseconds = 0;  // in the plugin
  std::string text = {};
};

std::string write_answer(const ChildAnswer& answer);
Result<ChildAnswer> read_answer(std::string_view record);

}  // namespace heddle::native_hook
