#include "contracts/pw/module_check.h"

#include <array>
#include <cstddef>

namespace heddle::proxy_wasm {
namespace {

using sandbox::Export;
using sandbox::ExternKind;
using sandbox::FunctionType;
using sandbox::ValueType;

struct Callback {
  std::string_view name;
  std::size_t parameters;
  bool result;
  std::size_t other_parameters;  // also accepted; 0: none
};

constexpr std::array<Callback, 28> kCallbacks = {{
    {"proxy_on_context_create", 2, false, 0},
    {"proxy_on_vm_start", 2, true, 0},
    {"proxy_on_configure", 2, true, 0},
    {"proxy_on_tick", 1, false, 0},
    {"proxy_on_done", 1, true, 0},
    {"proxy_on_log", 1, false, 0},
    {"proxy_on_delete", 1, false, 0},
    {"proxy_on_new_connection", 1, true, 0},
    {"proxy_on_downstream_data", 3, true, 0},
    {"proxy_on_upstream_data", 3, true, 0},
    {"proxy_on_downstream_connection_close", 2, false, 0},
    {"proxy_on_upstream_connection_close", 2, false, 0},
    {"proxy_on_request_headers", 3, true, 2},
    {"proxy_on_request_body", 3, true, 0},
    {"proxy_on_request_trailers", 2, true, 0},
    {"proxy_on_request_metadata", 2, true, 0},
    {"proxy_on_response_headers", 3, true, 2},
    {"proxy_on_response_body", 3, true, 0},
    {"proxy_on_response_trailers", 2, true, 0},
    {"proxy_on_response_metadata", 2, true, 0},
    {"proxy_on_http_call_response", 5, false, 0},
    {"proxy_on_grpc_receive_initial_metadata", 3, false, 0},
    {"proxy_on_grpc_receive", 3, false, 0},
    {"proxy_on_grpc_receive_trailing_metadata", 3, false, 0},
    {"proxy_on_grpc_close", 3, false, 0},
    {"proxy_on_queue_ready", 2, false, 0},
    {"proxy_on_foreign_function", 3, false, 0},
    {"proxy_on_memory_allocate", 1, true, 0},
}};

FunctionType type_of(std::size_t parameters, bool result) {
  FunctionType type;
  type.parameters.assign(parameters, ValueType::kI32);
  if (result) type.results.push_back(ValueType::kI32);
  return type;
}

const Export* function_named(const sandbox::Module& module, std::string_view name) {
  const Export* found = module.find_export(name);
  return found != nullptr && found->kind == ExternKind::kFunction ? found : nullptr;
}

Result<void> check_callback(const sandbox::Module& module, const Callback& callback) {
  const Export* found = function_named(module, callback.name);
  if (found == nullptr) return {};
  const FunctionType expected = type_of(callback.parameters, callback.result);
  if (found->type == expected) return {};
  if (callback.other_parameters != 0 && found->type == type_of(callback.other_parameters, callback.result)) return {};
  return fail(ErrorKind::kInvalidArgument,
              "export " + std::string(callback.name) + " has type " + to_string(found->type) + ", the ABI wants " +
                  to_string(expected) + "; build the module with an SDK for Proxy-Wasm 0.1.0, 0.2.0 or 0.2.1");
}

}  // namespace

std::string_view to_string(AbiVersion version) {
  switch (version) {
    case AbiVersion::k0_1_0: return "0.1.0";
    case AbiVersion::k0_2_0: return "0.2.0";
    case AbiVersion::k0_2_1: return "0.2.1";
  }
  return "";
}

std::optional<AbiVersion> abi_version(const sandbox::Module& module) {
  if (function_named(module, "proxy_abi_version_0_2_1") != nullptr) return AbiVersion::k0_2_1;
  if (function_named(module, "proxy_abi_version_0_2_0") != nullptr) return AbiVersion::k0_2_0;
  if (function_named(module, "proxy_abi_version_0_1_0") != nullptr) return AbiVersion::k0_1_0;
  return std::nullopt;
}

Result<ModuleFacts> check_module(const sandbox::Module& module) {
  ModuleFacts facts;
  const auto version = abi_version(module);
  if (!version) {
    for (const Export& item : module.exports()) {
      if (item.name.starts_with("proxy_abi_version_")) {
        return fail(ErrorKind::kInvalidArgument,
                    "the module is for another Proxy-Wasm version (" + item.name + "); Heddle runs 0.1.0, 0.2.0 and 0.2.1");
      }
    }
    return fail(ErrorKind::kInvalidArgument,
                "the module has no Proxy-Wasm marker (export proxy_abi_version_0_1_0, _0_2_0 or _0_2_1); build it with a "
                "Proxy-Wasm SDK");
  }
  facts.version = *version;
  for (const Callback& callback : kCallbacks) {
    if (auto checked = check_callback(module, callback); !checked) return std::unexpected(std::move(checked.error()));
  }
  const auto takes_eos = [&](std::string_view name) {
    const Export* found = function_named(module, name);
    return found == nullptr || found->type.parameters.size() == 3;
  };
  facts.request_headers_eos = takes_eos("proxy_on_request_headers");
  facts.response_headers_eos = takes_eos("proxy_on_response_headers");
  for (const std::string_view name : {"proxy_on_memory_allocate", "malloc"}) {
    const Export* found = function_named(module, name);
    if (facts.allocator.empty() && found != nullptr && found->type == type_of(1, true)) facts.allocator = name;
  }
  if (facts.allocator.empty()) {
    return fail(ErrorKind::kInvalidArgument,
                "the module exports no allocator (proxy_on_memory_allocate or malloc, (i32) -> i32); the host cannot give "
                "it data");
  }
  const Export* memory = module.find_export("memory");
  if (memory == nullptr || memory->kind != ExternKind::kMemory) {
    return fail(ErrorKind::kInvalidArgument, "the module exports no memory named \"memory\"");
  }
  return facts;
}

}  // namespace heddle::proxy_wasm
