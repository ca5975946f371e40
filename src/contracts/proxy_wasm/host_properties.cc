// Properties (Proxy-Wasm specification 0.2.1, "Properties"). What a plugin sets, later plugins of
// the exchange read by the same path; Heddle's own attributes come first.
#include <array>
#include <string>

#include "contracts/proxy_wasm/host_call.h"
#include "contracts/proxy_wasm/properties.h"
#include "contracts/proxy_wasm/property_store.h"

namespace heddle::proxy_wasm {
namespace {

Status get_property(Vm& vm, GuestPtr path, GuestSize path_size, GuestPtr data_out,
                    GuestPtr size_out) {
  const auto bytes = vm.instance().memory().view(path, path_size);
  if (!bytes) return Status::kInvalidMemoryAccess;
  const PropertyPath parsed(*bytes);
  std::string_view value;
  const Status status = read_attribute({.spec = vm.spec(),
                                        .http = vm.http(),
                                        .info = vm.has_context() ? vm.context().info() : nullptr},
                                       parsed, vm.scratch(), value);
  if (status == Status::kOk) return vm.give(value, data_out, size_out);
  const extension::Property* set = find_property(vm, parsed.raw);
  return set != nullptr ? vm.give(set->value, data_out, size_out) : status;
}

Status set_property(Vm& vm, GuestPtr path, GuestSize path_size, GuestPtr value,
                    GuestSize value_size) {
  const GuestMemory memory = vm.instance().memory();
  const auto bytes = memory.view(path, path_size);
  const auto text = memory.view(value, value_size);
  if (!bytes || !text) return Status::kInvalidMemoryAccess;
  return store_property(vm, PropertyPath(*bytes).raw, *text);
}

constexpr std::array kTable = {
    host_call<&get_property>("proxy_get_property"),
    host_call<&set_property>("proxy_set_property"),
};

}  // namespace

std::span<const HostFunction> property_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
