// The Proxy-Wasm contract: recognises its modules, checks and links them, and tries each version on
// a throw-away instance before it may serve (design/contracts.md, section 1). Any thread; made in
// main, outlives its plugins' last use.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "contracts/proxy_wasm/dependencies.h"
#include "contracts/proxy_wasm/shared_vms.h"
#include "contracts/proxy_wasm/version.h"
#include "extension/plugin_contract.h"

namespace heddle::proxy_wasm {

class Contract final : public extension::PluginContract {
 public:
  explicit Contract(const Dependencies& services);
  ~Contract() override;
  Contract(const Contract&) = delete;
  Contract& operator=(const Contract&) = delete;

  std::string_view kind() const override;
  bool recognises(const sandbox::Module& module) const override;
  Result<std::shared_ptr<extension::LoadedPlugin>> load(
      const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) override;
  bool offers_import(std::string_view module, std::string_view name) const override;

 private:
  class Spaces;

  Dependencies services_;
  std::shared_ptr<Farewells> farewells_;
  std::shared_ptr<Spaces> spaces_;
  SharedVms shared_vms_;
};

}  // namespace heddle::proxy_wasm
