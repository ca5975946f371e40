// A native plugin within the server: `isolation: none`. Calls cost a few tens of nanoseconds, take
// no memory, and are made on the worker that has the event. What the plugin does wrong, the server
// does wrong: a crash ends the process.
#pragma once

#include <memory>
#include <mutex>
#include <string_view>

#include "contracts/native_hook/native_calls.h"
#include "contracts/native_hook/shared_object.h"
#include "contracts/native_hook/watchdog.h"
#include "extension/message_hook_plugin.h"
#include "extension/plugin_record.h"
#include "sandbox/cycle_clock.h"

namespace heddle::native_hook {

class InProcessPlugin final : public extension::MessageHookPlugin {
 public:
  // Clock and watchdog outlive it.
  InProcessPlugin(const extension::PluginSpec& spec, std::unique_ptr<SharedObject> object,
                  std::shared_ptr<extension::PluginRecord> record, const sandbox::CycleClock& clock,
                  Watchdog& watchdog);
  ~InProcessPlugin() override;

  std::string_view kind() const override { return "native_hook"; }
  extension::PluginStats stats() const override { return record_->stats(); }

  bool wants(extension::HookMoment moment) const override {
    return is_called(object_->slots(), moment);
  }
  std::optional<extension::Verdict> ask(extension::HookMoment moment, net::Worker& worker,
                                        const extension::MessageEvent& event,
                                        extension::VerdictReceiver& receiver) override;
  bool answers_at_once() const override { return true; }
  void tell(net::Worker& worker, const extension::HookEvent& event) override;
  void shut_down() override;

 private:
  class Call;

  std::unique_ptr<SharedObject> object_;
  NativeCalls calls_;
  std::shared_ptr<extension::PluginRecord> record_;
  const sandbox::CycleClock& clock_;
  std::shared_ptr<WatchedCalls> watched_;
  std::mutex shut_down_mutex_;
};

}  // namespace heddle::native_hook
