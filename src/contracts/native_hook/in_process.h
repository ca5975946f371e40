// A native plugin within the server: `isolation: none`. Calls cost a few tens of nanoseconds, take
// no memory, and are made on the worker that has the event. What the plugin does wrong, the server
// does wrong: a crash ends the process.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "contracts/native_hook/native_calls.h"
#include "contracts/native_hook/shared_object.h"
#include "contracts/native_hook/watchdog.h"
#include "extension/message_hook.h"
#include "extension/plugin_contract.h"
#include "extension/plugin_record.h"
#include "sandbox/cycle_clock.h"

namespace heddle::native_hook {

class InProcessPlugin final : public extension::LoadedPlugin,
                              public extension::MessageHook,
                              public std::enable_shared_from_this<InProcessPlugin> {
 public:
  // Clock and watchdog outlive it.
  InProcessPlugin(const extension::PluginSpec& spec, std::unique_ptr<SharedObject> object,
                  std::shared_ptr<extension::PluginRecord> record, const sandbox::CycleClock& clock,
                  Watchdog& watchdog);
  ~InProcessPlugin() override;

  std::string_view kind() const override { return "native_hook"; }
  Result<void> start(net::Worker& worker) override;
  void stop(net::Worker& /*worker*/) override {}
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override { return nullptr; }
  std::shared_ptr<extension::MessageHook> message_hook() override { return shared_from_this(); }
  extension::PluginStats stats() const override { return record_->stats(); }

  const std::string& name() const override { return name_; }
  const std::string& file_name() const override { return file_name_; }
  bool wants(extension::HookMoment moment) const override {
    return is_called(object_->slots(), moment);
  }
  std::optional<extension::Verdict> ask(extension::HookMoment moment, net::Worker& worker,
                                        const extension::MessageEvent& event,
                                        extension::VerdictReceiver& receiver) override;
  void tell(net::Worker& worker, const extension::HookEvent& event) override;
  void shut_down() override;

 private:
  class Call;

  std::string name_;
  std::string file_name_;
  bool fails_open_;
  std::unique_ptr<SharedObject> object_;
  NativeCalls calls_;
  std::shared_ptr<extension::PluginRecord> record_;
  const sandbox::CycleClock& clock_;
  std::shared_ptr<WatchedCalls> watched_;
  std::mutex shut_down_mutex_;
};

// The last part of a path: hooks are called in its order.
std::string file_name_of(std::string_view path);

}  // namespace heddle::native_hook
