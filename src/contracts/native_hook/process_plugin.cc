#include "contracts/native_hook/process_plugin.h"

#include <utility>

namespace heddle::native_hook {

Result<std::shared_ptr<ProcessPlugin>> ProcessPlugin::create(
    const extension::PluginSpec& spec, std::span<const std::byte> file,
    std::shared_ptr<extension::PluginRecord> record, std::string program) {
  auto keeper =
      ChildKeeper::create({.program = std::move(program),
                           .plugin = spec.name,
                           .environment = spec.environment,
                           .memory_limit = spec.memory_limit_given ? spec.memory_limit : 0,
                           .timeout = spec.timeout,
                           .failure = extension::hook_failure(spec)},
                          file, record);
  if (!keeper) return std::unexpected(std::move(keeper.error()));
  return std::make_shared<ProcessPlugin>(spec, std::move(record), std::move(*keeper));
}

ProcessPlugin::ProcessPlugin(const extension::PluginSpec& spec,
                             std::shared_ptr<extension::PluginRecord> record,
                             std::unique_ptr<ChildKeeper> keeper)
    : MessageHookPlugin(spec), record_(std::move(record)), keeper_(std::move(keeper)) {}

std::optional<extension::Verdict> ProcessPlugin::ask(extension::HookMoment /*moment*/,
                                                     net::Worker& worker,
                                                     const extension::MessageEvent& event,
                                                     extension::VerdictReceiver& receiver) {
  if (keeper_->ask(worker, event, receiver)) return std::nullopt;
  return failure().verdict;
}

void ProcessPlugin::tell(net::Worker& /*worker*/, const extension::HookEvent& event) {
  keeper_->tell(event);
}

extension::PluginStats ProcessPlugin::stats() const {
  auto out = record_->stats();
  out.memory_bytes = keeper_->memory_bytes();
  return out;
}

}  // namespace heddle::native_hook
