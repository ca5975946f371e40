// Foreign functions (Proxy-Wasm specification 0.2.1): what hosts offer beyond the ABI, by name,
// behind `permissions.foreign_functions`. A new one is a function and a row.
#include <algorithm>
#include <array>
#include <string>

#include "contracts/proxy_wasm/host_call.h"

namespace heddle::proxy_wasm {
namespace {

struct ForeignFunction {
  std::string_view name;
  Status (*call)(Vm& vm, std::string_view arguments, std::string& result);
};

// Envoy's: the route is chosen anew.
Status clear_route_cache(Vm& vm, std::string_view /*arguments*/, std::string& /*result*/) {
  if (vm.http() != nullptr) vm.http()->clear_route();
  return Status::kOk;
}

constexpr std::array kFunctions = {
    ForeignFunction{"clear_route_cache", &clear_route_cache},
};

// Either out parameter may be null when the guest does not want the result.
Status call_foreign_function(Vm& vm, GuestPtr name, GuestSize name_size, GuestPtr arguments,
                             GuestSize arguments_size, GuestPtr data_out, GuestPtr size_out) {
  const GuestMemory memory = vm.instance().memory();
  const auto text = memory.view(name, name_size);
  const auto input = memory.view(arguments, arguments_size);
  if (!text || !input || !memory.view(data_out, sizeof(GuestPtr)) ||
      !memory.view(size_out, sizeof(GuestSize))) {
    return Status::kInvalidMemoryAccess;
  }
  const auto found = std::ranges::find(kFunctions, *text, &ForeignFunction::name);
  if (found == kFunctions.end()) return Status::kNotFound;
  const auto& permitted = vm.spec().foreign_functions;
  if (std::ranges::find(permitted, found->name) == permitted.end()) {
    vm.warn_once(
        "the plugin calls a foreign function that permissions.foreign_functions does not list");
    return Status::kNotFound;
  }
  std::string& result = vm.scratch();
  result.clear();
  const Status status = found->call(vm, *input, result);
  if (status != Status::kOk || data_out == 0 || size_out == 0) return status;
  return vm.give(result, data_out, size_out);
}

constexpr std::array kTable = {host_call<&call_foreign_function>("proxy_call_foreign_function")};

}  // namespace

std::span<const HostFunction> foreign_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
