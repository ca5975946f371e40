// What a module declares: ABI version, callbacks with their types, allocator. Specification v0.2.1 "Callbacks"; where
// hosts and SDKs differ, reference/proxy-wasm.md section 1.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "contracts/pw/abi.h"
#include "sandbox/module.h"

namespace heddle::proxy_wasm {

struct ModuleFacts {
  AbiVersion version = AbiVersion::k0_2_1;
  bool request_headers_eos = true;   // the callback takes end_of_stream (three parameters)
  bool response_headers_eos = true;
  std::string allocator;             // proxy_on_memory_allocate, or malloc
};

// The marker proxy_abi_version_*; the newest that Heddle knows when there are several.
std::optional<AbiVersion> abi_version(const sandbox::Module& module);
std::string_view to_string(AbiVersion version);

// The error names the export that is missing or wrong, with the type that was expected.
Result<ModuleFacts> check_module(const sandbox::Module& module);

}  // namespace heddle::proxy_wasm
