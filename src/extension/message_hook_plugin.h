// What the plugins of all hook contracts have in common: each is its own MessageHook, of one name
// and file, and decides by `on_failure` what becomes of a message that it could not judge.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "extension/message_hook.h"
#include "extension/plugin_contract.h"

namespace heddle::extension {

// What becomes of a message when its hook fails: it goes on, unless the entry says otherwise.
struct HookFailure {
  Verdict verdict;
  std::string_view consequence;  // for the log
};
HookFailure hook_failure(const PluginSpec& spec);

class MessageHookPlugin : public LoadedPlugin,
                          public MessageHook,
                          public std::enable_shared_from_this<MessageHookPlugin> {
 public:
  explicit MessageHookPlugin(const PluginSpec& spec);

  // Where one instance serves all workers, there is nothing to do on each.
  Result<void> start(net::Worker& /*worker*/) override { return {}; }
  void stop(net::Worker& /*worker*/) override {}
  std::shared_ptr<HttpFilterFactory> http_filter() override { return nullptr; }
  std::shared_ptr<MessageHook> message_hook() override { return shared_from_this(); }
  const std::string& name() const override { return name_; }
  const std::string& file_name() const override { return file_name_; }

 protected:
  const HookFailure& failure() const { return failure_; }

 private:
  std::string name_;
  std::string file_name_;
  HookFailure failure_;
};

}  // namespace heddle::extension
