// A native plugin in a child process: `isolation: process`. Its calls go through shared memory and
// cost some tens of microseconds; a crash, or a call that takes too long, costs that call.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "contracts/native_hook/child_keeper.h"
#include "extension/message_hook_plugin.h"

namespace heddle::native_hook {

class ProcessPlugin final : public extension::MessageHookPlugin {
 public:
  // `program` calls run_child() when it is started with kChildVerb.
  static Result<std::shared_ptr<ProcessPlugin>> create(
      const extension::PluginSpec& spec, std::span<const std::byte> file,
      std::shared_ptr<extension::PluginRecord> record, std::string program);
  ProcessPlugin(const extension::PluginSpec& spec, std::shared_ptr<extension::PluginRecord> record,
                std::unique_ptr<ChildKeeper> keeper);

  std::string_view kind() const override { return "native_hook"; }
  extension::PluginStats stats() const override;

  bool wants(extension::HookMoment moment) const override {
    return is_called(keeper_->slots(), moment);
  }
  std::optional<extension::Verdict> ask(extension::HookMoment moment, net::Worker& worker,
                                        const extension::MessageEvent& event,
                                        extension::VerdictReceiver& receiver) override;
  void tell(net::Worker& worker, const extension::HookEvent& event) override;
  void shut_down() override { keeper_->shut_down(); }

 private:
  std::shared_ptr<extension::PluginRecord> record_;
  std::unique_ptr<ChildKeeper> keeper_;
};

}  // namespace heddle::native_hook
