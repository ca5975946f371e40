// The JSON-RPC contract (wasmi plugin framework): recognises WASI commands, checks and links them.
// Any thread; made in main, outlives its plugins' last use.
#pragma once

#include <memory>
#include <string_view>

#include "contracts/json_rpc/dependencies.h"
#include "extension/plugin_contract.h"

namespace heddle::json_rpc {

class Contract final : public extension::PluginContract {
 public:
  explicit Contract(const Dependencies& dependencies) : dependencies_(dependencies) {}

  std::string_view kind() const override { return "json_rpc"; }
  bool recognises(const sandbox::Module& module) const override;
  void complete(extension::PluginSpec& spec) const override;
  Result<std::shared_ptr<extension::LoadedPlugin>> load(
      const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) override;
  bool offers_import(std::string_view module, std::string_view name) const override;

 private:
  Dependencies dependencies_;
};

// Fills in what a configuration leaves open (design/contracts.md, defaults).
void complete_spec(extension::PluginSpec& spec);

}  // namespace heddle::json_rpc
