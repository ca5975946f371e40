// The route contract (design/contracts.md, section 2): recognises modules by their manifest, checks
// the one against the other, and loads them. Any thread; made in main, outlives its plugins.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "contracts/route/dependencies.h"
#include "contracts/route/manifest.h"
#include "extension/plugin_contract.h"
#include "sandbox/module.h"

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

// Whether the module exports what the manifest names; and whether a manifest may do without a
// module. Errors have the JSON path.
Result<void> check_handlers(const RouteManifest& manifest,
                            std::span<const sandbox::Export> exports);
Result<void> check_alone(const RouteManifest& manifest);

}  // namespace heddle::route
