// Properties (Proxy-Wasm specification 0.2.1, "Properties"). What a plugin sets, later plugins of
// the exchange read by the same path; Heddle's own attributes come first.
#include <array>
#include <map>
#include <string>

#include "contracts/proxy_wasm/host_call.h"
#include "contracts/proxy_wasm/properties.h"

namespace heddle::proxy_wasm {
namespace {

using Properties = std::map<std::string, std::string, std::less<>>;

// What the plugins of one exchange may keep in properties.
constexpr std::size_t kMaxProperties = 256;
constexpr std::size_t kMaxPropertyBytes = std::size_t{1} << 20U;

Status get_property(Vm& vm, GuestPtr path, GuestSize path_size, GuestPtr data_out,
                    GuestPtr size_out) {
  const auto bytes = vm.instance().memory().view(path, path_size);
  if (!bytes) return Status::kInvalidMemoryAccess;
  const PropertyPath parsed(*bytes);
  std::string_view value;
  const Status status =
      read_attribute({.spec = vm.spec(), .http = vm.http()}, parsed, vm.scratch(), value);
  if (status == Status::kOk) return vm.give(value, data_out, size_out);
  if (vm.http() != nullptr) {
    const Properties& set = vm.http()->properties();
    if (const auto found = set.find(parsed.raw); found != set.end()) {
      return vm.give(found->second, data_out, size_out);
    }
  }
  if (const auto found = vm.root_properties().find(parsed.raw);
      found != vm.root_properties().end()) {
    return vm.give(found->second, data_out, size_out);
  }
  return status;
}

bool fits(const Properties& properties, std::string_view path, std::size_t size) {
  std::size_t bytes = path.size() + size;
  for (const auto& [key, value] : properties) {
    if (key != path) bytes += key.size() + value.size();
  }
  return bytes <= kMaxPropertyBytes &&
         (properties.size() < kMaxProperties || properties.contains(path));
}

Status set_property(Vm& vm, GuestPtr path, GuestSize path_size, GuestPtr value,
                    GuestSize value_size) {
  const GuestMemory memory = vm.instance().memory();
  const auto bytes = memory.view(path, path_size);
  const auto text = memory.view(value, value_size);
  if (!bytes || !text) return Status::kInvalidMemoryAccess;
  const PropertyPath parsed(*bytes);
  Properties& properties = vm.http() != nullptr ? vm.http()->properties() : vm.root_properties();
  if (!fits(properties, parsed.raw, text->size())) {
    vm.stats().limit_hit(Limit::kProperties);
    vm.log().write(LogLevel::kWarn,
                   "the plugin set more than 256 properties, or more than 1 MiB of them",
                   vm.request_id());
    return Status::kInternalFailure;
  }
  if (const auto found = properties.find(parsed.raw); found != properties.end()) {
    found->second.assign(*text);
  } else {
    properties.emplace(parsed.raw, *text);
  }
  return Status::kOk;
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
