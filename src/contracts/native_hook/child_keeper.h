// Keeps a child process that runs a plugin: a thread that starts it, hands calls over and takes
// answers, stops a call that takes too long by ending the child, and starts it anew, with growing
// pauses when it keeps failing.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "contracts/native_hook/call_queue.h"
#include "contracts/native_hook/child_process.h"
#include "contracts/native_hook/slots.h"
#include "contracts/native_hook/wire.h"
#include "extension/message_hook_plugin.h"
#include "extension/plugin_record.h"
#include "net/socket.h"

namespace heddle::native_hook {

class ChildKeeper {
 public:
  struct Options {
    std::string program;  // that calls run_child()
    std::string plugin;
    std::vector<std::string> environment;  // of the child
    std::size_t memory_limit = 0;          // bytes; 0: none
    std::chrono::nanoseconds timeout{0};   // of a call
    extension::HookFailure failure;
  };
  // Returns when the child has loaded the plugin, or why it did not.
  static Result<std::unique_ptr<ChildKeeper>> create(
      Options options, std::span<const std::byte> file,
      std::shared_ptr<extension::PluginRecord> record);
  // on_shutdown unless it was called, destroy, and the end of the child.
  ~ChildKeeper();
  ChildKeeper(const ChildKeeper&) = delete;
  ChildKeeper& operator=(const ChildKeeper&) = delete;

  const SlotSet& slots() const { return slots_; }
  // The verdict comes through the receiver, on the worker. False: the plugin cannot be asked now.
  bool ask(net::Worker& worker, const extension::MessageEvent& event,
           extension::VerdictReceiver& receiver);
  void tell(const extension::HookEvent& event);
  void shut_down();  // blocks
  std::size_t memory_bytes() const;

 private:
  enum class State : std::uint8_t { kStarting, kReady, kDown };

  ChildKeeper(Options options, std::shared_ptr<extension::PluginRecord> record);

  // On the keeper's thread:
  void run(std::promise<Result<void>> first);
  Result<void> start_child(bool restarting);
  Result<SlotSet> started(ChildProcess& child);
  void serve();
  Result<void> take_answers();
  void finish(PendingCall call, ChildAnswer answer);
  Nanoseconds check_limits();
  // Sleeps until there are answers, or output, or that time; whether the child has ended.
  bool wait(ChildProcess& child, Nanoseconds until);
  bool take_output(ChildProcess& child);
  void bury();
  bool start_anew();
  void rest(Nanoseconds pause);
  void take_bell();

  // With the mutex:
  bool push(PendingCall call);
  void send();
  void give_up();
  void deliver(PendingCall& call, extension::Verdict verdict);

  void ring();

  const Options options_;
  std::shared_ptr<extension::PluginRecord> record_;
  std::shared_ptr<metrics::Counter> restarts_;
  net::Fd plugin_file_;
  net::Fd bell_;
  SlotSet slots_{};

  mutable std::mutex mutex_;
  State state_ = State::kStarting;
  CallQueue queue_;
  std::unique_ptr<ChildProcess> child_;  // changed by the keeper's thread only
  bool asleep_ = false;                  // the keeper's thread looks at no time limit
  bool shut_down_ = false;
  bool ending_ = false;

  std::string output_;  // an unfinished line
  Nanoseconds started_at_ = 0;
  int failures_ = 0;       // in a row
  bool too_slow_ = false;  // the child was killed for that
  bool was_busy_ = false;
  bool destroyed_ = false;
  std::thread thread_;
};

}  // namespace heddle::native_hook
