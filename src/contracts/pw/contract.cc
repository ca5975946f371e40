#include "contracts/pw/contract.h"

#include "contracts/pw/host_api.h"
#include "contracts/pw/module_check.h"
#include "contracts/pw/plugin.h"

namespace heddle::proxy_wasm {

bool Contract::recognises(const sandbox::Module& module) const {
  for (const sandbox::Export& item : module.exports()) {
    if (item.name.starts_with("proxy_abi_version_")) return true;
  }
  return false;
}

Result<std::shared_ptr<extension::LoadedPlugin>> Contract::load(
    const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) {
  auto facts = check_module(*module);
  if (!facts) return std::unexpected(std::move(facts.error()));
  const auto tables = host_functions();
  auto linked = sandbox::LinkedModule::create(dependencies_.engine, std::move(module), tables);
  if (!linked) return std::unexpected(std::move(linked.error()));
  auto code = std::make_shared<const PluginCode>(dependencies_, spec, std::move(*linked), std::move(*facts));
  // The canary: starts and configures, then goes without a word to it.
  if (auto canary = Vm::start(code, nullptr); !canary) return std::unexpected(std::move(canary.error()));
  return std::make_shared<Plugin>(std::move(code));
}

bool Contract::offers_import(std::string_view module, std::string_view name) const {
  for (const std::span<const HostFunction> table : host_functions()) {
    for (const HostFunction& function : table) {
      if (function.module == module && function.name == name) return true;
    }
  }
  return false;
}

}  // namespace heddle::proxy_wasm
