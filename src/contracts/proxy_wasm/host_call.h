// Host functions of Proxy-Wasm as table rows. A host function takes the VM and Wasm numbers, and
// returns a Status:
//
//   Status get_answer(Vm& vm, GuestPtr out);
//   constexpr HostFunction kTable[] = {host_call<&get_answer>("proxy_get_answer"), ...};
//
// Addresses and lengths come from the guest: they go through GuestMemory and nothing else.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "contracts/proxy_wasm/abi.h"
#include "contracts/proxy_wasm/root.h"
#include "contracts/proxy_wasm/vm.h"
#include "sandbox/host_function.h"
#include "sandbox/instance.h"

namespace heddle::proxy_wasm {

using sandbox::GuestMemory;
using sandbox::GuestPtr;
using sandbox::GuestSize;
using sandbox::HostFunction;
using sandbox::Instance;

namespace internal {

void warn_of_address(Vm& vm);  // host_calls.cc

template <auto Function, bool WhileAllocating, typename... Args>
struct Guard {
  static std::int32_t run(Instance& instance, Args... args) {
    Vm& vm = instance.user<Vm>();
    if constexpr (WhileAllocating) {
      if (!vm.instantiated()) [[unlikely]]
        vm.adopt(instance);
    } else if (vm.allocating() || !vm.instantiated()) [[unlikely]] {
      instance.raise(sandbox::TrapReason::kHost,
                     vm.allocating() ? "host call from within the plugin's allocator"
                                     : "host call from within the module's start section");
      return static_cast<std::int32_t>(Status::kInternalFailure);
    }
    const Status status = Function(vm, args...);
    if (status == Status::kInvalidMemoryAccess) [[unlikely]]
      warn_of_address(vm);
    return static_cast<std::int32_t>(status);
  }
};

template <auto Function, bool WhileAllocating, typename... Args>
constexpr HostFunction guard(std::string_view name, Status (* /*function*/)(Vm&, Args...)) {
  return sandbox::host_function<&Guard<Function, WhileAllocating, Args...>::run>("env", name);
}

}  // namespace internal

template <auto Function>
constexpr HostFunction host_call(std::string_view name) {
  return internal::guard<Function, false>(name, Function);
}

// One that a guest may use in its allocator and in its start section too.
template <auto Function>
constexpr HostFunction host_call_while_allocating(std::string_view name) {
  return internal::guard<Function, true>(name, Function);
}

// The tables, by topic; each in the .cc file of its name.
std::span<const HostFunction> header_functions();    // host_headers.cc
std::span<const HostFunction> buffer_functions();    // host_buffers.cc
std::span<const HostFunction> property_functions();  // host_properties.cc
std::span<const HostFunction> stream_functions();    // host_stream.cc
std::span<const HostFunction> call_functions();      // host_calls.cc
std::span<const HostFunction> grpc_functions();      // host_grpc.cc
std::span<const HostFunction> shared_functions();    // host_shared.cc
std::span<const HostFunction> metric_functions();    // host_metrics.cc
std::span<const HostFunction> foreign_functions();   // host_foreign.cc
std::span<const HostFunction> runtime_functions();   // host_runtime.cc

// All of them, and those of WASI.
std::array<std::span<const HostFunction>, 11> all_functions();  // contract.cc

// Names that old SDKs declare without a result, in that form; used for modules that import them so.
std::span<const HostFunction> functions_without_result();

}  // namespace heddle::proxy_wasm
