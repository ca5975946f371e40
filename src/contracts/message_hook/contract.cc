#include "contracts/message_hook/contract.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "contracts/message_hook/guest.h"
#include "contracts/message_hook/plugin.h"

namespace heddle::message_hook {
namespace {

using sandbox::ValueType;
using Table = std::span<const sandbox::HostFunction>;

constexpr std::size_t kMemoryLimit = std::size_t{64} << 20U;  // unless the entry says otherwise

std::array<Table, 2> tables() {
  return {host_functions(), sandbox::wasi_functions()};
}

Shape shape_of(const sandbox::FunctionType& type) {
  const auto is = [](const std::vector<ValueType>& values, std::size_t count) {
    return values.size() == count &&
           std::ranges::count(values, ValueType::kI32) == static_cast<std::ptrdiff_t>(count);
  };
  const bool plain = is(type.parameters, 0);
  const bool bytes = is(type.parameters, 2);
  if (is(type.results, 0)) return plain ? Shape::kNothing : bytes ? Shape::kBytes : Shape::kAbsent;
  if (is(type.results, 1)) {
    return plain ? Shape::kResult : bytes ? Shape::kBytesResult : Shape::kAbsent;
  }
  return Shape::kAbsent;
}

struct Rule {
  Callback callback;
  std::span<const Shape> shapes;
  std::string_view types;  // of the shapes, for messages
};
constexpr std::array kLifeShapes = {Shape::kNothing, Shape::kResult, Shape::kBytesResult};
constexpr std::array kSendShapes = {Shape::kBytesResult};
constexpr std::array kSentShapes = {Shape::kBytesResult, Shape::kBytes};
constexpr std::string_view kLifeTypes = "(), () -> i32 or (i32, i32) -> i32";
constexpr std::array kRules = {
    Rule{Callback::kLoad, kLifeShapes, kLifeTypes},
    Rule{Callback::kUnload, kLifeShapes, kLifeTypes},
    Rule{Callback::kEnable, kLifeShapes, kLifeTypes},
    Rule{Callback::kDisable, kLifeShapes, kLifeTypes},
    Rule{Callback::kSend, kSendShapes, "(i32, i32) -> i32"},
    Rule{Callback::kSent, kSentShapes, "(i32, i32) -> i32 or (i32, i32)"},
};

Result<Shape> check_callback(const sandbox::Module& module, const Rule& rule) {
  const sandbox::Export* found = module.find_export(to_string(rule.callback));
  if (found == nullptr || found->kind != sandbox::ExternKind::kFunction) return Shape::kAbsent;
  const Shape shape = shape_of(found->type);
  if (std::ranges::find(rule.shapes, shape) != rule.shapes.end()) return shape;
  return fail(ErrorKind::kInvalidArgument,
              fmt::format("exports {} with type {}; it must be {}", found->name,
                          sandbox::to_string(found->type), rule.types));
}

Result<void> check_memory(const sandbox::Module& module, std::size_t limit) {
  const auto exports = module.exports();
  if (std::ranges::find(exports, sandbox::ExternKind::kMemory, &sandbox::Export::kind) ==
      exports.end()) {
    return fail(ErrorKind::kInvalidArgument,
                "exports no memory, so that no message can reach it; export it as \"memory\"");
  }
  const std::uint64_t needed = module.initial_memory_bytes();
  if (needed <= limit) return {};
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
  return fail(ErrorKind::kLimit,
              fmt::format("starts with {} KiB of memory, but memory_limit is {} KiB; set "
                          "`memory_limit: {}MiB` or more",
                          needed / 1024, limit / 1024, (needed + kMiB - 1) / kMiB));
}

}  // namespace

bool Contract::recognises(const sandbox::Module& module) const {
  return std::ranges::any_of(
      kCallbackNames, [&](std::string_view name) { return module.find_export(name) != nullptr; });
}

bool Contract::offers_import(std::string_view module, std::string_view name) const {
  return std::ranges::any_of(tables(), [&](Table table) {
    return std::ranges::any_of(
        table, [&](const auto& row) { return row.module == module && row.name == name; });
  });
}

Result<std::shared_ptr<extension::LoadedPlugin>> Contract::load(
    const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) {
  auto version = std::make_shared<Version>();
  version->spec = spec;
  if (!spec.memory_limit_given) version->spec.memory_limit = kMemoryLimit;
  if (auto fits = check_memory(*module, version->spec.memory_limit); !fits)
    return std::unexpected(std::move(fits.error()));
  for (const Rule& rule : kRules) {
    auto shape = check_callback(*module, rule);
    if (!shape) return std::unexpected(std::move(shape.error()));
    version->shapes.at(static_cast<std::size_t>(rule.callback)) = *shape;
  }
  auto linked = sandbox::LinkedModule::create(services_.engine, module, tables());
  if (!linked) return std::unexpected(std::move(linked.error()));
  version->linked = std::move(*linked);
  version->record = std::make_shared<extension::PluginRecord>(services_.log, services_.metrics,
                                                              spec, kCallbackNames);
  auto guest = Guest::start(version);
  if (!guest) return std::unexpected(std::move(guest.error()));
  return std::make_shared<Plugin>(std::move(version), std::move(*guest));
}

}  // namespace heddle::message_hook
