// A plugin compiled to wasm32, in the sandbox: one instance for all workers, called in turn. A trap
// costs that call; the next one meets a fresh instance.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

#include "contracts/native_hook/guest_table.h"
#include "extension/message_hook_plugin.h"

namespace heddle::native_hook {

class SandboxedPlugin final : public extension::MessageHookPlugin {
 public:
  SandboxedPlugin(std::shared_ptr<const GuestTable::Version> version,
                  std::unique_ptr<GuestTable> first);

  std::string_view kind() const override { return "native_hook"; }
  extension::PluginStats stats() const override { return version_->record->stats(); }

  bool wants(extension::HookMoment moment) const override { return is_called(slots_, moment); }
  std::optional<extension::Verdict> ask(extension::HookMoment moment, net::Worker& worker,
                                        const extension::MessageEvent& event,
                                        extension::VerdictReceiver& receiver) override;
  bool answers_at_once() const override { return true; }
  void tell(net::Worker& worker, const extension::HookEvent& event) override;
  void shut_down() override;

 private:
  // Both under the mutex. Null: it cannot be started now.
  GuestTable* guest();
  void failed(const sandbox::Trap& trap);

  std::shared_ptr<const GuestTable::Version> version_;
  SlotSet slots_;
  std::mutex mutex_;
  std::unique_ptr<GuestTable> guest_;
  std::int64_t retry_at_ = 0;  // monotonic; after a start that failed
};

}  // namespace heddle::native_hook
