// Private to the wasmtime_*.cc files of this folder: the only place of Heddle that includes
// wasmtime.h. Owns each C handle by RAII and declares the classes behind Engine, Module and
// LinkedModule, which those files share.
#pragma once

#include <heddle_wasmtime.h>
#include <wasmtime.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sandbox/compile_cache.h"
#include "sandbox/cycle_clock.h"
#include "sandbox/engine.h"
#include "sandbox/epoch_ticker.h"
#include "sandbox/instance.h"
#include "sandbox/module_sections.h"

namespace heddle::sandbox {

template <auto Delete>
struct Deleter {
  template <typename T>
  void operator()(T* handle) const {
    Delete(handle);
  }
};
template <typename T, auto Delete>
using Handle = std::unique_ptr<T, Deleter<Delete>>;

using ConfigHandle = Handle<wasm_config_t, &wasm_config_delete>;
using PoolConfigHandle =
    Handle<wasmtime_pooling_allocation_config_t, &wasmtime_pooling_allocation_config_delete>;
using EngineHandle = Handle<wasm_engine_t, &wasm_engine_delete>;
using ModuleHandle = Handle<wasmtime_module_t, &wasmtime_module_delete>;
using LinkerHandle = Handle<wasmtime_linker_t, &wasmtime_linker_delete>;
using InstancePreHandle = Handle<wasmtime_instance_pre_t, &wasmtime_instance_pre_delete>;
using StoreHandle = Handle<wasmtime_store_t, &wasmtime_store_delete>;
using FunctionTypeHandle = Handle<wasm_functype_t, &wasm_functype_delete>;
using ErrorHandle = Handle<wasmtime_error_t, &wasmtime_error_delete>;
using FutureHandle = Handle<wasmtime_call_future_t, &wasmtime_call_future_delete>;
using TrapHandle = Handle<wasm_trap_t, &wasm_trap_delete>;

// Bytes that the engine allocated.
class ByteVector {
 public:
  ByteVector() = default;
  ByteVector(const ByteVector&) = delete;
  ByteVector& operator=(const ByteVector&) = delete;
  ~ByteVector() { wasm_byte_vec_delete(&bytes_); }
  wasm_byte_vec_t* out() { return &bytes_; }
  std::string_view text() const { return {bytes_.data, bytes_.size}; }
  std::span<const std::byte> span() const {
    return std::as_bytes(std::span(bytes_.data, bytes_.size));
  }

 private:
  wasm_byte_vec_t bytes_{};
};

// The whole text of an error, its causes on lines of their own.
std::string error_text(const wasmtime_error_t& error);
// The same on one line, from the outermost to the root cause.
std::string one_line(std::string_view error_text);

struct SandboxMetrics {
  explicit SandboxMetrics(metrics::Registry& registry);
  std::shared_ptr<metrics::Counter> compiled;
  std::shared_ptr<metrics::Counter> loaded;
  std::shared_ptr<metrics::Counter> created;
  std::shared_ptr<metrics::Counter> destroyed;
  std::shared_ptr<metrics::Counter> pool_full;
  std::shared_ptr<metrics::Counter> suspendable_full;
  std::shared_ptr<metrics::Gauge> suspended;
  std::shared_ptr<metrics::Counter> denied_memory;
  std::shared_ptr<metrics::Counter> denied_table;
  std::array<std::shared_ptr<metrics::Counter>, static_cast<std::size_t>(TrapReason::kOther) + 1>
      traps;
};

class WasmtimeEngine final : public Engine {
 public:
  WasmtimeEngine(EngineHandle handle, const EngineOptions& options, std::uint32_t slots, Log& log,
                 metrics::Registry& registry);

  Result<std::shared_ptr<const Module>> compile(std::span<const std::byte> bytes,
                                                std::string_view name) override;

  wasm_engine_t* handle() const { return handle_.get(); }
  EpochTicker& ticker() { return ticker_; }
  const CycleClock& clock() const { return clock_; }
  const SandboxMetrics& metrics() const { return metrics_; }
  std::uint32_t slots() const { return slots_; }

  // One of the slots with a stack; kLimit when all are taken.
  Result<void> take_suspendable(std::string_view module);
  void release_suspendable();
  // The function of this store by which a host function suspends its guest: () -> (), returns once
  // WasmtimeInstance::resumed().
  wasmtime_func_t wait_function(wasmtime_context_t& context) const;

 private:
  Result<ModuleHandle> build(std::span<const std::byte> binary, const std::string& sha256,
                             bool& from_cache);

  EngineHandle handle_;
  std::uint32_t slots_;
  std::uint32_t suspendable_limit_;
  std::atomic<std::uint32_t> suspendable_{0};
  LinkerHandle waits_;  // of wait_function()
  Log& log_;
  SandboxMetrics metrics_;
  CycleClock clock_;
  CompileCache cache_;
  EpochTicker ticker_;  // last: its thread uses the handle
};

class WasmtimeModule final : public Module {
 public:
  WasmtimeModule(WasmtimeEngine& engine, ModuleHandle handle, std::string_view name,
                 ModuleSections sections, std::size_t size, std::string sha256, bool from_cache);

  const std::string& name() const override { return name_; }
  std::span<const Import> imports() const override { return imports_; }
  std::span<const Export> exports() const override { return exports_; }
  std::span<const CustomSection> custom_sections() const override { return custom_; }
  std::optional<std::string_view> custom_section(std::string_view name) const override;
  std::uint64_t initial_memory_bytes() const override { return initial_memory_; }
  std::optional<std::uint64_t> maximum_memory_bytes() const override { return maximum_memory_; }
  std::size_t size() const override { return size_; }
  const std::string& sha256() const override { return sha256_; }
  bool from_cache() const override { return from_cache_; }

  WasmtimeEngine& engine() const { return engine_; }
  const wasmtime_module_t* handle() const { return handle_.get(); }
  // The memory that host functions see: the export "memory", or else the first; empty when none is
  // exported.
  const std::string& memory_export() const { return memory_export_; }
  // As find_export(), which searches; instances look up some twenty names each.
  const Export* lookup(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }

 private:
  WasmtimeEngine& engine_;
  ModuleHandle handle_;
  std::string name_;
  std::vector<Import> imports_;
  std::vector<Export> exports_;
  std::unordered_map<std::string_view, const Export*> by_name_;
  std::vector<CustomSection> custom_;
  std::vector<std::string> custom_bytes_;  // of each, empty for those that only debuggers read
  std::uint64_t initial_memory_;
  std::optional<std::uint64_t> maximum_memory_;
  std::size_t size_;
  std::string sha256_;
  bool from_cache_;
  std::string memory_export_;
};

class WasmtimeLinkedModule final : public LinkedModule {
 public:
  static Result<std::shared_ptr<const LinkedModule>> link(
      std::shared_ptr<const Module> module, std::span<const std::span<const HostFunction>> tables,
      const Options& options);

  const Module& module() const override { return *module_; }
  const WasmtimeModule& wasmtime_module() const { return *module_; }
  const wasmtime_instance_pre_t* handle() const { return handle_.get(); }

 private:
  WasmtimeLinkedModule() = default;
  Result<void> define(wasmtime_linker_t& linker, const Import& import,
                      const HostFunction& function);

  std::shared_ptr<const WasmtimeModule> module_;
  std::vector<std::unique_ptr<const HostFunction>> functions_;  // the engine keeps their addresses
  InstancePreHandle handle_;
};

// What the engine calls for every import; `function` is the HostFunction. In wasmtime_instance.cc.
wasm_trap_t* call_host_function(void* function, wasmtime_caller_t* caller,
                                wasmtime_val_raw_t* values, std::size_t count);

// Defines what WasmtimeEngine::wait_function() gives. In wasmtime_suspend.cc.
LinkerHandle make_wait_linker(wasm_engine_t* engine);

// Reason, message and backtrace of a call that the engine ended; exactly one of the two is set. In
// wasmtime_trap.cc.
Trap describe_trap(const wasm_trap_t* trap, const wasmtime_error_t* error);
std::string backtrace_of(const wasm_trap_t* trap, const wasmtime_error_t* error);

}  // namespace heddle::sandbox
