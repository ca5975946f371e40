// A native plugin in a child process: `isolation: process`. Its calls go through shared memory and
// cost some tens of microseconds; a crash, or a call that takes too long, costs that call.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "contracts/native_hook/child_keeper.h"
#include "extension/message_hook.h"
#include "extension/plugin_contract.h"

namespace heddle::native_hook {

class ProcessPlugin final : public extension::LoadedPlugin,
                            public extension::MessageHook,
                            public std::enable_shared_from_this<ProcessPlugin> {
 public:
  // `program` calls run_child() when it is started with kChildVerb.
  static Result<std::shared_ptr<ProcessPlugin>> create(
      const extension::PluginSpec& spec, std::span<const std::byte> file,
      std::shared_ptr<extension::PluginRecord> record, std::string program);
  ProcessPlugin(const extension::PluginSpec& spec, std::shared_ptr<extension::PluginRecord> record,
                std::unique_ptr<ChildKeeper> keeper);

  std::string_view kind() const override { return "native_hook"; }
  Result<void> start(net::Worker& /*worker*/) override { return {}; }
  void stop(net::Worker& /*worker*/) override {}
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override { return nullptr; }
  std::shared_ptr<extension::MessageHook> message_hook() override { return shared_from_this(); }
  extension::PluginStats stats() const override;

  const std::string& name() const override { return name_; }
  const std::string& file_name() const override { return file_name_; }
  bool wants(extension::HookMoment moment) const override {
    return is_called(keeper_->slots(), moment);
  }
  std::optional<extension::Verdict> ask(extension::HookMoment moment, net::Worker& worker,
                                        const extension::MessageEvent& event,
                                        extension::VerdictReceiver& receiver) override;
  void tell(net::Worker& worker, const extension::HookEvent& event) override;
  void shut_down() override { keeper_->shut_down(); }

 private:
  std::string name_;
  std::string file_name_;
  std::shared_ptr<extension::PluginRecord> record_;
  std::unique_ptr<ChildKeeper> keeper_;
};

}  // namespace heddle::native_hook
