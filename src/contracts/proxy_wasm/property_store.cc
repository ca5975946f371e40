#include "contracts/proxy_wasm/property_store.h"

#include <string>

#include "contracts/proxy_wasm/root.h"

namespace heddle::proxy_wasm {
namespace {

using extension::Properties;
using extension::Property;

bool fits(const Properties& properties, std::string_view path, std::size_t size) {
  std::size_t bytes = path.size() + size;
  for (const auto& [key, property] : properties) {
    if (key != path) bytes += key.size() + property.value.size();
  }
  return bytes <= kMaxPropertyBytes &&
         (properties.size() < kMaxProperties || properties.contains(path));
}

Status no_room(Vm& vm, std::string_view what) {
  vm.stats().limit_hit(Limit::kProperties);
  vm.log().write(LogLevel::kWarn, what, vm.request_id());
  return Status::kInternalFailure;
}

const Property* find(const Properties& properties, std::string_view path) {
  const auto found = properties.find(path);
  return found != properties.end() ? &found->second : nullptr;
}

}  // namespace

Status store_property(Vm& vm, std::string_view path, std::string_view value) {
  Properties* of_stream = vm.has_context() ? vm.context().properties() : nullptr;
  Properties& properties = of_stream != nullptr ? *of_stream : vm.root().own_properties();
  const auto found = properties.find(path);
  if (found != properties.end() && found->second.read_only) {
    vm.log().write(LogLevel::kWarn, "the plugin set a property that was declared read-only",
                   vm.request_id(), "property", path.substr(0, 100));
    return Status::kBadArgument;
  }
  if (!fits(properties, path, value.size())) {
    return no_room(vm, "the plugin set more than 256 properties, or more than 1 MiB of them");
  }
  if (found != properties.end()) {
    found->second.value.assign(value);
    return Status::kOk;
  }
  const auto declared = vm.root().declared_properties().find(path);
  const bool read_only = declared != vm.root().declared_properties().end() && declared->second;
  properties.emplace(path, Property{.value = std::string(value), .read_only = read_only});
  return Status::kOk;
}

const Property* find_property(Vm& vm, std::string_view path) {
  // Where Envoy keeps what plugins set.
  constexpr std::string_view kFilterState("filter_state\0wasm.", 18);
  if (path.starts_with(kFilterState)) path.remove_prefix(kFilterState.size());
  const Property* found = nullptr;
  if (const Properties* set = vm.has_context() ? vm.context().properties() : nullptr) {
    found = find(*set, path);
  }
  return found != nullptr ? found : find(vm.root().own_properties(), path);
}

Status declare_property(Vm& vm, std::string_view path, bool read_only) {
  auto& declared = vm.root().declared_properties();
  if (declared.contains(path)) return Status::kBadArgument;
  if (declared.size() >= kMaxProperties || path.size() > kMaxPropertyBytes / kMaxProperties) {
    return no_room(vm,
                   "the plugin declared more than 256 properties, or one with a name above 4 KiB");
  }
  declared.emplace(path, read_only);
  return Status::kOk;
}

}  // namespace heddle::proxy_wasm
