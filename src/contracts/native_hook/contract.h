// The native_hook contract (contracts.md section 5): quicprochat's plugins, as shared objects
// within the server, as the same in a child process, and compiled to wasm32 in the sandbox.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "contracts/native_hook/dependencies.h"
#include "contracts/native_hook/watchdog.h"
#include "extension/plugin_contract.h"
#include "sandbox/cycle_clock.h"

namespace heddle::native_hook {

class Contract final : public extension::PluginContract {
 public:
  explicit Contract(Dependencies services);
  ~Contract() override;

  std::string_view kind() const override { return "native_hook"; }
  bool recognises(const sandbox::Module& module) const override;
  Result<std::shared_ptr<extension::LoadedPlugin>> load(
      const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) override;
  bool offers_import(std::string_view module, std::string_view name) const override;
  bool takes_file(std::span<const std::byte> file) const override;
  Result<std::shared_ptr<extension::LoadedPlugin>> load_file(
      const extension::PluginSpec& spec, std::span<const std::byte> file) override;

 private:
  std::shared_ptr<extension::PluginRecord> make_record(const extension::PluginSpec& spec) const;

  Dependencies services_;
  sandbox::CycleClock clock_;
  Watchdog watchdog_;
};

}  // namespace heddle::native_hook
