// Foreign functions (Proxy-Wasm specification 0.2.1): what hosts offer beyond the ABI, by name,
// behind `permissions.foreign_functions`: the built-in ones (foreign_functions.h) and those of the
// embedding program (extension/foreign_functions.h).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <string>

#include "contracts/proxy_wasm/foreign_functions.h"
#include "contracts/proxy_wasm/host_call.h"

namespace heddle::proxy_wasm {

void warn_of_function(Vm& vm, std::string_view function, std::string_view why) {
  vm.log().write(LogLevel::kWarn, fmt::format("foreign function {}: {}", function, why),
                 vm.request_id());
}

bool admit_size(Vm& vm, std::string_view function, std::size_t size) {
  if (size <= vm.spec().buffer_limit) return true;
  vm.stats().limit_hit(Limit::kBody);
  warn_of_function(vm, function, fmt::format("{} bytes or more, above buffer_limit", size));
  return false;
}

namespace {

const BuiltInFunction* find_built_in(std::string_view name) {
  for (const auto table : {compression_functions(), signature_functions(), state_functions()}) {
    const auto found = std::ranges::find(table, name, &BuiltInFunction::name);
    if (found != table.end()) return &*found;
  }
  return nullptr;
}

Status status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument:
      return Status::kBadArgument;
    case ErrorKind::kNotFound:
      return Status::kNotFound;
    default:
      return Status::kInternalFailure;
  }
}

// The program's code is not ours: what it throws must not pass through the guest's frames.
Result<std::string> run_guarded(const extension::ForeignFunctions::Entry& entry,
                                const extension::ForeignCall& call) {
  try {
    return entry.function(call);
  } catch (const std::exception& error) {
    return fail(ErrorKind::kInternal, error.what());
  } catch (...) {
    return fail(ErrorKind::kInternal, "it threw an exception");
  }
}

Status call_registered(Vm& vm, std::string_view name,
                       const extension::ForeignFunctions::Entry& entry, std::string_view arguments,
                       std::string& result) {
  auto answer = run_guarded(entry, {.plugin = vm.spec().name,
                                    .arguments = arguments,
                                    .reply = vm.root().foreign_reply(entry.id)});
  if (!answer) {
    warn_of_function(vm, name, answer.error().message);
    return status_of(answer.error().kind);
  }
  result = std::move(*answer);
  return Status::kOk;
}

bool is_permitted_function(Vm& vm, std::string_view name) {
  if (std::ranges::find(vm.spec().foreign_functions, name) != vm.spec().foreign_functions.end()) {
    return true;
  }
  vm.warn_once(
      "the plugin calls a foreign function that permissions.foreign_functions does not list");
  return false;
}

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
  const BuiltInFunction* built_in = find_built_in(*text);
  const extension::ForeignFunctions* registered = vm.version().services.foreign_functions;
  const auto* entry =
      built_in == nullptr && registered != nullptr ? registered->find(*text) : nullptr;
  if (built_in == nullptr && entry == nullptr) return Status::kNotFound;
  if (!is_permitted_function(vm, *text)) return Status::kNotFound;
  std::string& result = vm.scratch();
  result.clear();
  const Status status = built_in != nullptr ? built_in->call(vm, *input, result)
                                            : call_registered(vm, *text, *entry, *input, result);
  if (status != Status::kOk || data_out == 0 || size_out == 0) return status;
  return vm.give(result, data_out, size_out);
}

constexpr std::array kTable = {host_call<&call_foreign_function>("proxy_call_foreign_function")};

}  // namespace

std::span<const HostFunction> foreign_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
