#include "contracts/proxy_wasm/module_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

namespace heddle::proxy_wasm {
namespace {

using sandbox::Export;
using sandbox::ExternKind;
using sandbox::FunctionType;
using sandbox::ValueType;

constexpr std::string_view kMarkerPrefix = "proxy_abi_version_";

struct Marker {
  std::string_view name;
  AbiVersion version;
};
constexpr std::array kMarkers = {
    Marker{"proxy_abi_version_0_2_1", AbiVersion::k0_2_1},  // a module with several gets the newest
    Marker{"proxy_abi_version_0_2_0", AbiVersion::k0_2_0},
    Marker{"proxy_abi_version_0_1_0", AbiVersion::k0_1_0},
};

// Parameters and results are all i32. Types: Proxy-Wasm specification 0.2.1, "Callbacks exposed by
// the Wasm module".
struct Signature {
  std::string_view name;
  std::uint8_t parameters;
  bool returns;
  std::uint8_t fewer = 0;  // also accepted with so many parameters less
};
constexpr std::array kSignatures = {
    Signature{"_initialize", 0, false},
    Signature{"_start", 0, false},
    Signature{"proxy_on_memory_allocate", 1, true},
    Signature{"malloc", 1, true},
    Signature{"proxy_on_context_create", 2, false},
    Signature{"proxy_on_vm_start", 2, true},
    Signature{"proxy_on_configure", 2, true},
    Signature{"proxy_on_tick", 1, false},
    Signature{"proxy_on_queue_ready", 2, false},
    Signature{"proxy_on_http_call_response", 5, false},
    Signature{"proxy_on_request_headers", 3, true, 1},
    Signature{"proxy_on_request_body", 3, true},
    Signature{"proxy_on_request_trailers", 2, true},
    Signature{"proxy_on_response_headers", 3, true, 1},
    Signature{"proxy_on_response_body", 3, true},
    Signature{"proxy_on_response_trailers", 2, true},
    Signature{"proxy_on_done", 1, true},
    Signature{"proxy_on_log", 1, false},
    Signature{"proxy_on_delete", 1, false},
    Signature{"proxy_on_new_connection", 1, true},
    Signature{"proxy_on_downstream_data", 3, true},
    Signature{"proxy_on_upstream_data", 3, true},
    Signature{"proxy_on_downstream_connection_close", 2, false},
    Signature{"proxy_on_upstream_connection_close", 2, false},
    Signature{"proxy_on_grpc_receive_initial_metadata", 3, false},
    Signature{"proxy_on_grpc_receive", 3, false},
    Signature{"proxy_on_grpc_receive_trailing_metadata", 3, false},
    Signature{"proxy_on_grpc_close", 3, false},
    Signature{"proxy_on_foreign_function", 3, false},
};

FunctionType type_of(const Signature& signature, std::size_t fewer) {
  FunctionType type;
  type.parameters.assign(signature.parameters - fewer, ValueType::kI32);
  if (signature.returns) type.results.push_back(ValueType::kI32);
  return type;
}

Result<void> check_export(const Export& item, const Signature& signature) {
  const FunctionType expected = type_of(signature, 0);
  if (item.kind == ExternKind::kFunction &&
      (item.type == expected ||
       (signature.fewer > 0 && item.type == type_of(signature, signature.fewer)))) {
    return {};
  }
  const std::string found = item.kind == ExternKind::kFunction
                                ? to_string(item.type)
                                : fmt::format("a {}", to_string(item.kind));
  return fail(
      ErrorKind::kInvalidArgument,
      fmt::format(
          "exports {} as {}, but Proxy-Wasm calls it as {}; build the plugin with a current SDK",
          item.name, found, to_string(expected)));
}

Result<AbiVersion> find_version(const sandbox::Module& module) {
  for (const Marker& marker : kMarkers) {
    const Export* found = module.find_export(marker.name);
    if (found != nullptr && found->kind == ExternKind::kFunction) return marker.version;
  }
  std::string unknown;
  for (const Export& item : module.exports()) {
    if (item.name.starts_with(kMarkerPrefix)) unknown = item.name;
  }
  const std::string known =
      "Heddle knows proxy_abi_version_0_1_0, proxy_abi_version_0_2_0 and proxy_abi_version_0_2_1";
  if (unknown.empty()) {
    return fail(ErrorKind::kInvalidArgument,
                "has no Proxy-Wasm ABI marker (no export proxy_abi_version_*); " + known +
                    "; build it with a Proxy-Wasm SDK, or correct `kind:`");
  }
  return fail(ErrorKind::kInvalidArgument,
              fmt::format("is written for an unknown Proxy-Wasm ABI ({}); {}", unknown, known));
}

}  // namespace

bool has_abi_marker(const sandbox::Module& module) {
  return std::ranges::any_of(
      module.exports(), [](const Export& item) { return item.name.starts_with(kMarkerPrefix); });
}

Result<ModuleTraits> check_module(const sandbox::Module& module) {
  const auto version = find_version(module);
  if (!version) return std::unexpected(version.error());
  ModuleTraits traits{.abi = *version, .callbacks = {}};
  for (const Signature& signature : kSignatures) {
    const Export* found = module.find_export(signature.name);
    if (found == nullptr) continue;
    if (auto checked = check_export(*found, signature); !checked) {
      return std::unexpected(std::move(checked.error()));
    }
  }
  for (std::size_t i = 0; i < kCallbackCount; ++i) {
    traits.callbacks[i] = module.find_export(export_name(static_cast<Callback>(i))) != nullptr;
  }
  if (module.find_export("proxy_on_memory_allocate") == nullptr &&
      module.find_export("malloc") == nullptr) {
    return fail(ErrorKind::kInvalidArgument,
                "exports neither proxy_on_memory_allocate nor malloc, so Heddle cannot hand data "
                "to it; export one of them "
                "as (i32) -> i32");
  }
  return traits;
}

}  // namespace heddle::proxy_wasm
