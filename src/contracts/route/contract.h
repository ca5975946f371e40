// The route contract (design/contracts.md, section 2): recognises modules by their manifest, checks
// the one against the other, and loads them. Any thread; made in main, outlives its plugins.
#pragma once

#include <memory>
#include <string_view>

#include "contracts/route/dependencies.h"
#include "extension/plugin_contract.h"

namespace heddle::route {

class Contract final : public extension::PluginContract {
 public:
  explicit Contract(const Dependencies& services) : services_(services) {}

  std::string_view kind() const override { return "route"; }
  bool recognises(const sandbox::Module& module) const override;
  bool takes_manifest() const override { return true; }
  Result<std::shared_ptr<extension::LoadedPlugin>> load_manifest(
      const extension::PluginSpec& spec) override;
  void complete(extension::PluginSpec& spec) const override;
  // A file beside the module comes before a section in it.
  Result<std::shared_ptr<extension::LoadedPlugin>> load(
      const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) override;
  bool offers_import(std::string_view module, std::string_view name) const override;

 private:
  Dependencies services_;
};

}  // namespace heddle::route
