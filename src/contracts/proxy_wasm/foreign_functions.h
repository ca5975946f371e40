// The foreign functions that every Heddle has, by topic: Envoy's, with Envoy's arguments and
// results (envoy/source/extensions/common/wasm/ext/*.proto), by numbers of their fields.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "contracts/proxy_wasm/abi.h"

namespace heddle::proxy_wasm {

class Vm;

// `arguments` views the guest's memory; `result` is empty and becomes what the guest gets when the
// status is kOk. The statuses that the Rust SDK expects are kOk, kNotFound, kBadArgument,
// kSerializationFailure and kInternalFailure.
struct BuiltInFunction {
  std::string_view name;
  Status (*call)(Vm& vm, std::string_view arguments, std::string& result);
};

std::span<const BuiltInFunction> compression_functions();  // foreign_compression.cc
std::span<const BuiltInFunction> signature_functions();    // foreign_signature.cc
std::span<const BuiltInFunction> state_functions();        // foreign_state.cc

// A warning that names the function and why it failed.
void warn_of_function(Vm& vm, std::string_view function, std::string_view why);
// Whether the plugin may have `size` bytes worked on at once (buffer_limit); if not, says so.
bool admit_size(Vm& vm, std::string_view function, std::size_t size);

}  // namespace heddle::proxy_wasm
