// The hooks that are in force, in the order in which they are called: by file name. Immutable;
// shared by all workers. The service takes current() at the start of each request and keeps it to
// the end.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "extension/message_hook.h"

namespace heddle::extension {

class HookChain : public std::enable_shared_from_this<HookChain> {
 public:
  explicit HookChain(std::vector<std::shared_ptr<MessageHook>> hooks);

  // Whether anybody listens: the service need not make the event otherwise.
  bool wants(HookMoment moment) const { return !at(moment).in_order.empty(); }

  // Asks the hooks one after the other (kSend or kEnqueue). The first that rejects decides and
  // those behind it are not asked. `done` comes exactly once, from within the call or later on
  // `worker`; the event lives until then. Worker thread only.
  void ask(HookMoment moment, net::Worker& worker, const MessageEvent& event,
           std::move_only_function<void(Verdict)> done) const;
  // Tells all of them. Worker thread only.
  void tell(net::Worker& worker, const HookEvent& event) const;
  // MessageHook::shut_down of every hook, in order. Not on a worker.
  void shut_down() const;

 private:
  class Run;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final
  struct Hooks {
    std::vector<MessageHook*> in_order;
    bool at_once = true;  // none of them answers later
  };
  const Hooks& at(HookMoment moment) const { return by_moment_[static_cast<std::size_t>(moment)]; }

  std::vector<std::shared_ptr<MessageHook>> hooks_;
  std::array<Hooks, kHookMoments> by_moment_;
};

// Where the chain that is in force is found. The control thread publishes a new one whenever the
// plugins change; hooks that left go with the last request that uses their chain.
class MessageHooks {
 public:
  MessageHooks();
  std::shared_ptr<const HookChain> current() const;  // never null; any thread
  void publish(std::vector<std::shared_ptr<MessageHook>> hooks);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const HookChain> current_;
};

// Stands for a plugin that could not be loaded and must not fail open: rejects every message.
std::shared_ptr<MessageHook> make_refusing_hook(std::string plugin, std::string file_name);

}  // namespace heddle::extension
