#include "contracts/native_hook/contract.h"

#include <algorithm>
#include <array>
#include <utility>

#include "contracts/native_hook/elf_check.h"
#include "contracts/native_hook/in_process.h"
#include "contracts/native_hook/process_plugin.h"
#include "contracts/native_hook/sandboxed.h"
#include "contracts/native_hook/shared_object.h"
#include "sandbox/module.h"

namespace heddle::native_hook {
namespace {

constexpr std::size_t kMemoryLimit = std::size_t{64} << 20U;  // of the sandbox, by default

}  // namespace

Contract::Contract(Dependencies services) : services_(std::move(services)) {}

Contract::~Contract() = default;

bool Contract::recognises(const sandbox::Module& module) const {
  return module.find_export("qpc_plugin_init") != nullptr;
}

bool Contract::offers_import(std::string_view module, std::string_view name) const {
  return std::ranges::any_of(sandbox::wasi_functions(), [&](const auto& row) {
    return row.module == module && row.name == name;
  });
}

bool Contract::takes_file(std::span<const std::byte> file) const {
  return has_elf_magic(file);
}

std::shared_ptr<extension::PluginRecord> Contract::make_record(
    const extension::PluginSpec& spec) const {
  return std::make_shared<extension::PluginRecord>(services_.log, services_.metrics, spec,
                                                   kSlotNames);
}

Result<std::shared_ptr<extension::LoadedPlugin>> Contract::load(
    const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) {
  if (!recognises(*module)) {
    return fail(ErrorKind::kInvalidArgument,
                "exports no qpc_plugin_init; a native_hook plugin has `int32_t "
                "qpc_plugin_init(HookVTable *)` (include/heddle/abi/qpc_plugin.h)");
  }
  const std::array tables = {sandbox::wasi_functions()};
  auto linked = sandbox::LinkedModule::create(services_.engine, std::move(module), tables);
  if (!linked) return std::unexpected(std::move(linked.error()));
  auto version = std::make_shared<GuestTable::Version>();
  version->spec = spec;
  if (!spec.memory_limit_given) version->spec.memory_limit = kMemoryLimit;
  version->linked = std::move(*linked);
  version->record = make_record(spec);
  auto table = GuestTable::start(version);
  if (!table) return std::unexpected(std::move(table.error()));
  return std::make_shared<SandboxedPlugin>(std::move(version), std::move(*table));
}

Result<std::shared_ptr<extension::LoadedPlugin>> Contract::load_file(
    const extension::PluginSpec& spec, std::span<const std::byte> file) {
  if (spec.isolation == "process") {
    return ProcessPlugin::create(spec, file, make_record(spec), services_.child_program);
  }
  auto object = SharedObject::load(file, spec.name);
  if (!object) return std::unexpected(std::move(object.error()));
  return std::make_shared<InProcessPlugin>(spec, std::move(*object), make_record(spec), clock_,
                                           watchdog_);
}

}  // namespace heddle::native_hook
