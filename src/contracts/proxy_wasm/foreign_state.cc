// Foreign functions about the plugin's own exchange: `clear_route_cache`, `declare_property`,
// `set_envoy_filter_state`.
#include <array>
#include <optional>

#include "base/protobuf.h"
#include "contracts/proxy_wasm/foreign_functions.h"
#include "contracts/proxy_wasm/property_store.h"

namespace heddle::proxy_wasm {
namespace {

// The route is chosen anew.
Status clear_route_cache(Vm& vm, std::string_view /*arguments*/, std::string& /*result*/) {
  if (vm.http() != nullptr) vm.http()->clear_route();
  return Status::kOk;
}

// DeclarePropertyArguments: name 1, readonly 2, type 3, schema 4, span 5. Values are bytes of
// whatever type, and every span is that of the exchange, so the last three change nothing.
Status declare(Vm& vm, std::string_view arguments, std::string& /*result*/) {
  std::string_view name;
  bool read_only = false;
  protobuf::Reader reader(arguments);
  while (const auto field = reader.next()) {
    if (field->number == 1) name = field->bytes;
    if (field->number == 2) read_only = field->varint_or(0) != 0;
  }
  if (!reader.ok() || name.empty()) return Status::kBadArgument;
  return declare_property(vm, name, read_only);
}

// SetEnvoyFilterStateArguments: path 1, value 2, span 3. Read back as the property
// ["filter_state", path].
Status set_filter_state(Vm& vm, std::string_view arguments, std::string& /*result*/) {
  std::string_view path;
  std::string_view value;
  protobuf::Reader reader(arguments);
  while (const auto field = reader.next()) {
    if (field->number == 1) path = field->bytes;
    if (field->number == 2) value = field->bytes;
  }
  if (!reader.ok() || path.empty()) return Status::kBadArgument;
  if (!vm.has_context() || vm.context().properties() == nullptr) return Status::kNotFound;
  std::string full = "filter_state";
  full += '\0';
  full += path;
  return store_property(vm, full, value);
}

constexpr std::array kFunctions = {
    BuiltInFunction{"clear_route_cache", &clear_route_cache},
    BuiltInFunction{"declare_property", &declare},
    BuiltInFunction{"set_envoy_filter_state", &set_filter_state},
};

}  // namespace

std::span<const BuiltInFunction> state_functions() {
  return kFunctions;
}

}  // namespace heddle::proxy_wasm
