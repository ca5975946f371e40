// Calls a filled HookVTable with the service's events: lays them out as the ABI wants them, on the
// stack, and fetches the reason of a rejection. Used within the server and by the child process.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "contracts/native_hook/slots.h"
#include "extension/message_hook.h"
#include "heddle/abi/qpc_plugin.h"

namespace heddle::native_hook {

// The event as the plugin sees it; valid as long as the one it was made from.
CMessageEvent c_event(const extension::MessageEvent& event);

class NativeCalls {
 public:
  // The table outlives this.
  explicit NativeCalls(const HookVTable& table) : table_(table) {}

  // Nothing: the message may go on. Otherwise why not. Any thread.
  std::optional<std::string> enqueue(const CMessageEvent& event);
  // Calls the slot of the event, which must be filled. Any thread.
  void tell(const extension::HookEvent& event) const;

 private:
  std::string reason() const;

  const HookVTable& table_;
  std::mutex mutex_;  // from on_message_enqueue to the copy of its error_message
};

}  // namespace heddle::native_hook
