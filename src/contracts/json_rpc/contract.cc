#include "contracts/json_rpc/contract.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "contracts/json_rpc/plugin.h"
#include "sandbox/instance.h"

namespace heddle::json_rpc {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;

bool is_command(const sandbox::Module& module) {
  const sandbox::Export* start = module.find_export("_start");
  return start != nullptr && start->kind == sandbox::ExternKind::kFunction;
}

Result<void> check(const sandbox::Module& module, const extension::PluginSpec& spec) {
  const sandbox::Export* start = module.find_export("_start");
  if (!is_command(module) || !start->type.parameters.empty() || !start->type.results.empty()) {
    return fail(ErrorKind::kInvalidArgument,
                "is no WASI command: it has no export _start of type () -> (); build it as a "
                "program, not as a library");
  }
  const std::uint64_t needed = module.initial_memory_bytes();
  if (needed > spec.memory_limit) {
    return fail(ErrorKind::kLimit,
                fmt::format("starts with {} KiB of memory, but memory_limit is {} KiB; set "
                            "`memory_limit: {}MiB` or more",
                            needed / 1024, spec.memory_limit / 1024, (needed + kMiB - 1) / kMiB));
  }
  return {};
}

}  // namespace

void complete_spec(extension::PluginSpec& spec) {
  const auto fill = [](auto& value, auto own) {
    if (value == decltype(own){}) value = own;
  };
  fill(spec.timeout, std::chrono::milliseconds(10'000));
  fill(spec.cpu_limit, std::chrono::milliseconds(2'000));
  fill(spec.memory_limit, 64 * kMiB);
  fill(spec.body_limit, 10 * kMiB);
  fill(spec.output_limit, 64 * kMiB);
  fill(spec.host_calls, std::uint64_t{100'000});
  fill(spec.outbound_calls, std::size_t{8});
  fill(spec.max_calls, std::size_t{100});
  fill(spec.max_queued_calls, std::size_t{10'000});
  fill(spec.log_lines_per_second, std::size_t{1'000});
  fill(spec.log_line_bytes, std::size_t{4'096});
}

void Contract::complete(extension::PluginSpec& spec) const {
  if (!spec.memory_limit_given) spec.memory_limit = 0;
  complete_spec(spec);
}

bool Contract::recognises(const sandbox::Module& module) const {
  return is_command(module);
}

bool Contract::offers_import(std::string_view module, std::string_view name) const {
  return std::ranges::any_of(sandbox::wasi_functions(), [&](const sandbox::HostFunction& row) {
    return row.name == name && row.module == module;
  });
}

Result<std::shared_ptr<extension::LoadedPlugin>> Contract::load(
    const extension::PluginSpec& given, std::shared_ptr<const sandbox::Module> module) {
  extension::PluginSpec spec = given;
  complete_spec(spec);
  if (auto right = check(*module, spec); !right) return std::unexpected(std::move(right.error()));
  const std::array<std::span<const sandbox::HostFunction>, 1> tables{sandbox::wasi_functions()};
  auto linked = sandbox::LinkedModule::create(dependencies_.engine, std::move(module), tables);
  if (!linked) return std::unexpected(std::move(linked.error()));
  return std::make_shared<Plugin>(
      std::make_shared<Version>(dependencies_, std::move(spec), std::move(*linked)));
}

}  // namespace heddle::json_rpc
