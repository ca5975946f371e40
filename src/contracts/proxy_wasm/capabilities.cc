#include "contracts/proxy_wasm/capabilities.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "contracts/proxy_wasm/host_call.h"

namespace heddle::proxy_wasm {
namespace {

constexpr std::int32_t kNotCapable = 76;  // of WASI
constexpr std::size_t kMostRows = 192;    // host functions that may be denied

bool is_wasi(const HostFunction& row) {
  return row.module != "env";
}

// What language runtimes import beside the ABI cannot be denied, as in Envoy.
bool can_be_denied(const HostFunction& row) {
  return is_wasi(row) || row.name.starts_with("proxy_");
}

const std::vector<HostFunction>& stand_ins();

template <std::size_t Row>
void refuse_call(Instance& instance, sandbox::RawValue* values) {
  const HostFunction& row = stand_ins()[Row];
  Vm& vm = instance.user<Vm>();
  vm.log().warn_each_minute(PluginLog::Recurring::kCapability,
                            "the plugin made a call that permissions.capabilities does not list",
                            "call", row.name);
  if (!row.has_result) return;
  values[0].set(is_wasi(row) ? kNotCapable : static_cast<std::int32_t>(Status::kInternalFailure));
}

template <std::size_t... Row>
constexpr auto refusals(std::index_sequence<Row...> /*rows*/) {
  return std::array{&refuse_call<Row>...};
}

// A row that refuses for every row that can be denied.
const std::vector<HostFunction>& stand_ins() {
  static const std::vector<HostFunction> kRows = [] {
    constexpr auto kRefusals = refusals(std::make_index_sequence<kMostRows>());
    std::vector<HostFunction> out;
    const auto add = [&](std::span<const HostFunction> table) {
      std::ranges::copy_if(table, std::back_inserter(out), can_be_denied);
    };
    add(functions_without_result());
    for (const auto table : all_functions()) add(table);
    for (std::size_t i = 0; i < out.size(); ++i) out[i].invoke = kRefusals.at(i);
    return out;
  }();
  return kRows;
}

bool is_callback(std::string_view name) {
  for (std::size_t i = 0; i < kCallbackCount; ++i) {
    if (export_name(static_cast<Callback>(i)) == name) return name.starts_with("proxy_");
  }
  return false;
}

}  // namespace

bool is_capability(std::string_view name) {
  return is_callback(name) ||
         std::ranges::find(stand_ins(), name, &HostFunction::name) != stand_ins().end();
}

Result<void> Capabilities::check() const {
  for (const std::string& name : allowed_) {
    if (is_capability(name)) continue;
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("permissions.capabilities: \"{}\" is no host call, WASI function or "
                            "callback of Proxy-Wasm; correct the name, for example proxy_log, "
                            "fd_write or proxy_on_request_headers",
                            name));
  }
  return {};
}

bool Capabilities::allows(std::string_view name) const {
  return allowed_.empty() || std::ranges::find(allowed_, name) != allowed_.end();
}

void Capabilities::restrict(ModuleTraits& traits) const {
  for (std::size_t i = 0; i < kCallbackCount; ++i) {
    if (is_callback(export_name(static_cast<Callback>(i))) &&
        !allows(export_name(static_cast<Callback>(i)))) {
      traits.callbacks[i] = false;
    }
  }
}

// Old SDKs declare some host calls without a result; the one that the module imports fits.
const sandbox::HostFunction* Capabilities::stand_in(std::string_view module,
                                                    std::string_view name) const {
  if (allows(name)) return nullptr;
  const auto import = std::ranges::find_if(module_.imports(), [&](const sandbox::Import& each) {
    return each.module == module && each.name == name;
  });
  if (import == module_.imports().end()) return nullptr;
  const auto found = std::ranges::find_if(stand_ins(), [&](const HostFunction& row) {
    return row.module == module && row.name == name &&
           row.has_result != import->type.results.empty();
  });
  return found != stand_ins().end() ? &*found : nullptr;
}

}  // namespace heddle::proxy_wasm
