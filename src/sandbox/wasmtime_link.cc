#include <fmt/format.h>

#include <algorithm>

#include "sandbox/wasmtime_api.h"

namespace heddle::sandbox {
namespace {

using Tables = std::span<const std::span<const HostFunction>>;

const HostFunction* find_row(Tables tables, const Import& import) {
  for (const auto& table : tables) {
    for (const HostFunction& row : table) {
      if (row.name == import.name && row.module == import.module) return &row;
    }
  }
  return nullptr;
}

wasm_valtype_t* new_value_type(ValueType type) {
  switch (type) {
    case ValueType::kI64:
      return wasm_valtype_new(WASM_I64);
    case ValueType::kF32:
      return wasm_valtype_new(WASM_F32);
    case ValueType::kF64:
      return wasm_valtype_new(WASM_F64);
    default:
      return wasm_valtype_new(WASM_I32);  // host functions have no other types
  }
}

FunctionTypeHandle function_type(const HostFunction& function) {
  std::array<wasm_valtype_t*, HostFunction::kMaxParameters> types{};
  for (std::size_t i = 0; i < function.parameter_count; ++i) {
    types[i] = new_value_type(function.parameters[i]);
  }
  wasm_valtype_vec_t parameters{};
  wasm_valtype_vec_new(&parameters, function.parameter_count, types.data());
  wasm_valtype_vec_t results{};
  if (function.has_result) {
    wasm_valtype_t* result = new_value_type(function.result);
    wasm_valtype_vec_new(&results, 1, &result);
  } else {
    wasm_valtype_vec_new_empty(&results);
  }
  return FunctionTypeHandle(wasm_functype_new(&parameters, &results));
}

std::string describe_missing(const Import& import) {
  if (import.kind != ExternKind::kFunction) {
    return fmt::format("{}.{} (a {}; Heddle offers functions only)", import.module, import.name,
                       to_string(import.kind));
  }
  return fmt::format("{}.{} {} (Heddle lacks it)", import.module, import.name,
                     to_string(import.type));
}

}  // namespace

Result<void> WasmtimeLinkedModule::define(wasmtime_linker_t& linker, const Import& import,
                                          const HostFunction& function) {
  auto& row = functions_.emplace_back(std::make_unique<const HostFunction>(function));
  const FunctionTypeHandle type = function_type(*row);
  const ErrorHandle error(wasmtime_linker_define_func_unchecked(
      &linker, import.module.data(), import.module.size(), import.name.data(), import.name.size(),
      type.get(), &call_host_function, const_cast<HostFunction*>(row.get()), nullptr));
  if (error != nullptr) return fail(ErrorKind::kInternal, one_line(error_text(*error)));
  return {};
}

Result<std::shared_ptr<const LinkedModule>> WasmtimeLinkedModule::link(
    std::shared_ptr<const Module> module, Tables tables, const Options& options) {
  std::shared_ptr<WasmtimeLinkedModule> out(new WasmtimeLinkedModule);
  out->module_ = std::static_pointer_cast<const WasmtimeModule>(std::move(module));
  const WasmtimeModule& source = *out->module_;
  const LinkerHandle linker(wasmtime_linker_new(source.engine().handle()));
  wasmtime_linker_allow_shadowing(linker.get(), true);  // a module may import the same name twice
  std::string refused;
  const auto refuse = [&](const std::string& why) {
    refused += (refused.empty() ? "" : "; ") + why;
  };

  for (const Import& import : source.imports()) {
    const HostFunction* row =
        import.kind == ExternKind::kFunction ? find_row(tables, import) : nullptr;
    if (row == nullptr) {
      if (!options.allow_missing || import.kind != ExternKind::kFunction) {
        refuse(describe_missing(import));
      }
      continue;
    }
    if (options.replace != nullptr) {
      const HostFunction* other = options.replace(options.context, import.module, import.name);
      if (other != nullptr) row = other;
    }
    if (row->type() != import.type) {
      refuse(fmt::format("{}.{} {} (Heddle offers it as {})", import.module, import.name,
                         to_string(import.type), to_string(row->type())));
      continue;
    }
    if (auto defined = out->define(*linker, import, *row); !defined) {
      return std::unexpected(std::move(defined.error()).within(source.name() + ": "));
    }
  }
  if (!refused.empty()) {
    return fail(
        ErrorKind::kInvalidArgument,
        fmt::format("module {}: imports that cannot be resolved: {}; build it without these calls, "
                    "or for an ABI that Heddle has (`heddle inspect` shows all imports)",
                    source.name(), refused));
  }
  if (options.allow_missing) {
    const ErrorHandle error(
        wasmtime_linker_define_unknown_imports_as_traps(linker.get(), source.handle()));
    if (error != nullptr) return fail(ErrorKind::kInternal, one_line(error_text(*error)));
  }
  wasmtime_instance_pre_t* handle = nullptr;
  const ErrorHandle error(wasmtime_linker_instantiate_pre(linker.get(), source.handle(), &handle));
  if (error != nullptr) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("module {}: {}", source.name(), one_line(error_text(*error))));
  }
  out->handle_.reset(handle);
  return out;
}

Result<std::shared_ptr<const LinkedModule>> LinkedModule::create(
    Engine& /*engine*/, std::shared_ptr<const Module> module, Tables tables,
    const Options& options) {
  return WasmtimeLinkedModule::link(std::move(module), tables, options);
}

}  // namespace heddle::sandbox
