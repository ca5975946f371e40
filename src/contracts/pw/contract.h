// The contract proxy_wasm (Loom): recognises and loads modules of the Proxy-Wasm ABI 0.1.0, 0.2.0 and 0.2.1.
#pragma once

#include <memory>
#include <string_view>

#include "contracts/pw/dependencies.h"
#include "extension/plugin_contract.h"

namespace heddle::proxy_wasm {

class Contract final : public extension::PluginContract {
 public:
  explicit Contract(Dependencies dependencies) : dependencies_(dependencies) {}

  std::string_view kind() const override { return "proxy_wasm"; }
  bool recognises(const sandbox::Module& module) const override;
  Result<std::shared_ptr<extension::LoadedPlugin>> load(
      const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) override;
  bool offers_import(std::string_view module, std::string_view name) const override;

 private:
  Dependencies dependencies_;
};

}  // namespace heddle::proxy_wasm
