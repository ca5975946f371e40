#include "contracts/route/contract.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "contracts/route/handlers.h"
#include "contracts/route/manifest.h"
#include "contracts/route/plugin.h"
#include "sandbox/module.h"

namespace heddle::route {
namespace {

using sandbox::FunctionType;
using sandbox::ValueType;

Result<RouteManifest> manifest_of(const extension::PluginSpec& spec,
                                  const sandbox::Module& module) {
  if (spec.manifest) {
    auto manifest = parse_manifest(*spec.manifest);
    if (manifest) return manifest;
    return std::unexpected(std::move(manifest.error()).within(spec.manifest_path + ": "));
  }
  const auto embedded = module.custom_section(kManifestSection);
  if (!embedded) {
    return fail(ErrorKind::kInvalidArgument,
                "has no manifest; lay manifest.json beside it, or embed it with `heddle embed`");
  }
  auto manifest = parse_manifest(*embedded);
  if (manifest) return manifest;
  return std::unexpected(std::move(manifest.error()).within("section manifest: "));
}

// `list`: "routes" or "events".
template <typename Entry>
Result<void> check_handlers(std::string_view list, const std::vector<Entry>& entries,
                            std::span<const sandbox::Export> exports) {
  static const FunctionType kHandler{{ValueType::kI32, ValueType::kI32}, {ValueType::kI32}};
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string& handler = entries[i].handler;
    const auto found = std::ranges::find(exports, handler, &sandbox::Export::name);
    if (found == exports.end() || found->kind != sandbox::ExternKind::kFunction) {
      return fail(ErrorKind::kInvalidArgument,
                  fmt::format("manifest: $.{}[{}].handler: the module exports no function {}; "
                              "correct the name, or export it (#[no_mangle])",
                              list, i, handler));
    }
    if (found->type != kHandler) {
      return fail(ErrorKind::kInvalidArgument,
                  fmt::format("manifest: $.{}[{}].handler: {} is {}, but a handler is {}", list, i,
                              handler, to_string(found->type), to_string(kHandler)));
    }
  }
  return {};
}

}  // namespace

Result<void> check_handlers(const RouteManifest& manifest,
                            std::span<const sandbox::Export> exports) {
  if (auto checked = check_handlers("routes", manifest.routes, exports); !checked) return checked;
  return check_handlers("events", manifest.events, exports);
}

Result<void> check_alone(const RouteManifest& manifest) {
  const std::string_view wants = !manifest.routes.empty()   ? "routes"
                                 : !manifest.events.empty() ? "events"
                                                            : "";
  if (wants.empty()) return {};
  return fail(ErrorKind::kInvalidArgument,
              fmt::format("$.{}: name handlers, but the package has no module; add the .wasm file "
                          "and name it by wasm_entry",
                          wants));
}

bool Contract::recognises(const sandbox::Module& module) const {
  return module.custom_section(kManifestSection).has_value();
}

void Contract::complete(extension::PluginSpec& spec) const {
  if (spec.timeout.count() == 0) spec.timeout = std::chrono::seconds(5);
  if (spec.body_limit == 0) spec.body_limit = std::size_t{10} << 20U;
}

Result<std::shared_ptr<extension::LoadedPlugin>> Contract::load(
    const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) {
  auto parsed = manifest_of(spec, *module);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  if (auto checked = check_handlers(*parsed, module->exports()); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  const auto manifest = std::make_shared<const RouteManifest>(std::move(*parsed));
  auto handlers = Handlers::create(services_, spec, std::move(module), manifest);
  if (!handlers) return std::unexpected(std::move(handlers.error()));
  return std::make_shared<Plugin>(*manifest, spec.timeout, std::move(*handlers));
}

Result<std::shared_ptr<extension::LoadedPlugin>> Contract::load_manifest(
    const extension::PluginSpec& spec) {
  auto manifest = parse_manifest(spec.manifest.value_or(""));
  if (!manifest) return std::unexpected(std::move(manifest.error()));
  if (auto checked = check_alone(*manifest); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  return std::make_shared<PagesPlugin>(*manifest);
}

bool Contract::offers_import(std::string_view module, std::string_view name) const {
  return Handlers::offers_import(module, name);
}

}  // namespace heddle::route
