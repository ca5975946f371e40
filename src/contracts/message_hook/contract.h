// The message_hook contract (contracts.md section 3): OurChat's plugins, Wasm modules that see each
// message before it is stored.
#pragma once

#include <memory>
#include <string_view>

#include "contracts/message_hook/dependencies.h"
#include "extension/plugin_contract.h"

namespace heddle::message_hook {

class Contract final : public extension::PluginContract {
 public:
  explicit Contract(const Dependencies& services) : services_(services) {}

  std::string_view kind() const override { return "message_hook"; }
  bool recognises(const sandbox::Module& module) const override;
  Result<std::shared_ptr<extension::LoadedPlugin>> load(
      const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) override;
  bool offers_import(std::string_view module, std::string_view name) const override;

 private:
  Dependencies services_;
};

}  // namespace heddle::message_hook
