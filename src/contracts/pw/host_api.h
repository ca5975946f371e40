// What the files of host functions share. Each topic's file has a constexpr table; host_functions() joins them.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "contracts/pw/abi.h"
#include "contracts/pw/http_context.h"
#include "contracts/pw/vm.h"
#include "http/header_map.h"
#include "sandbox/guest_memory.h"
#include "sandbox/host_function.h"
#include "sandbox/instance.h"

namespace heddle::proxy_wasm {

using sandbox::GuestMemory;
using sandbox::GuestPtr;
using sandbox::GuestSize;
using sandbox::HostFunction;
using sandbox::Instance;

// The result type of host functions in Wasm.
using HostStatus = std::int32_t;
constexpr HostStatus status(Status value) { return static_cast<HostStatus>(value); }

// The VM that calls. Within its own allocator a guest may only log and ask for time: anything else ends it.
inline Vm& vm_of(Instance& instance) {
  Vm& vm = instance.user<Vm>();
  if (vm.allocating()) {
    instance.raise(sandbox::TrapReason::kHost, "a host call that is not allowed while the host allocates memory");
  }
  return vm;
}

// Reads a (pointer, length) argument.
inline std::optional<std::string_view> text(Instance& instance, GuestPtr pointer, GuestSize size) {
  return instance.memory().view(pointer, size);
}

// Whether `size` bytes at `pointer` can be written: asked before a call has side effects.
inline bool writable(Instance& instance, GuestPtr pointer, GuestSize size = 4) {
  return instance.memory().view(pointer, size).has_value();
}

// A map by its type, for reading; null: not available (now). Trailers appear when a filter's last body callback writes.
http::HeaderMap* readable_map(Vm& vm, std::uint32_t type);

// A property of the well-known set or Envoy's, as bytes; nothing: not found. properties.cc
std::optional<std::string> property(Vm& vm, std::string_view path);

std::span<const HostFunction> header_functions();
std::span<const HostFunction> buffer_functions();
std::span<const HostFunction> stream_functions();
std::span<const HostFunction> shared_functions();
std::span<const HostFunction> metric_functions();
std::span<const HostFunction> call_functions();
std::span<const HostFunction> system_functions();

// All of the above, and WASI: what a Proxy-Wasm module may import.
std::vector<std::span<const HostFunction>> host_functions();

}  // namespace heddle::proxy_wasm
