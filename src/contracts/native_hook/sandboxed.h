// A plugin compiled to wasm32, in the sandbox: one instance for all workers, called in turn. A trap
// costs that call; the next one meets a fresh instance.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "contracts/native_hook/guest_table.h"
#include "extension/message_hook.h"
#include "extension/plugin_contract.h"

namespace heddle::native_hook {

class SandboxedPlugin final : public extension::LoadedPlugin,
                              public extension::MessageHook,
                              public std::enable_shared_from_this<SandboxedPlugin> {
 public:
  SandboxedPlugin(std::shared_ptr<const GuestTable::Version> version,
                  std::unique_ptr<GuestTable> first);

  std::string_view kind() const override { return "native_hook"; }
  Result<void> start(net::Worker& /*worker*/) override { return {}; }
  void stop(net::Worker& /*worker*/) override {}
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override { return nullptr; }
  std::shared_ptr<extension::MessageHook> message_hook() override { return shared_from_this(); }
  extension::PluginStats stats() const override { return version_->record->stats(); }

  const std::string& name() const override { return version_->spec.name; }
  const std::string& file_name() const override { return file_name_; }
  bool wants(extension::HookMoment moment) const override { return is_called(slots_, moment); }
  std::optional<extension::Verdict> ask(extension::HookMoment moment, net::Worker& worker,
                                        const extension::MessageEvent& event,
                                        extension::VerdictReceiver& receiver) override;
  void tell(net::Worker& worker, const extension::HookEvent& event) override;
  void shut_down() override;

 private:
  // Both under the mutex. Null: it cannot be started now.
  GuestTable* guest();
  void failed(const sandbox::Trap& trap);
  extension::Verdict when_failed() const;

  std::shared_ptr<const GuestTable::Version> version_;
  std::string file_name_;
  bool fails_open_;
  SlotSet slots_;
  std::mutex mutex_;
  std::unique_ptr<GuestTable> guest_;
  std::int64_t retry_at_ = 0;  // monotonic; after a start that failed
};

}  // namespace heddle::native_hook
