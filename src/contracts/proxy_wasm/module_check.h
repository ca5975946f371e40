// What a module must look like to be a Proxy-Wasm plugin, judged by its exports alone.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "contracts/proxy_wasm/abi.h"
#include "contracts/proxy_wasm/callbacks.h"
#include "sandbox/module.h"

namespace heddle::proxy_wasm {

struct ModuleTraits {
  AbiVersion abi = AbiVersion::k0_2_1;
  CallbackSet callbacks;  // that the module exports
};

// Any export proxy_abi_version_*, known or not.
bool has_abi_marker(const sandbox::Module& module);

// kInvalidArgument names what is missing or wrong: no or an unknown ABI marker, a callback of
// another type (with the type that was expected), no allocator. Header callbacks may have two or
// three parameters under any marker.
Result<ModuleTraits> check_module(const sandbox::Module& module);

}  // namespace heddle::proxy_wasm
