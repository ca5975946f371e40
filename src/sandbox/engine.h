// The engine: compiles modules, keeps the compile cache, ticks the epoch. One per process, made in
// main, outlives every module and instance. compile() and inspect() may be called from any thread,
// and block: the compile thread does it.
//
// Only wasmtime_api.h, private to the wasmtime_*.cc files of this folder, includes wasmtime.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "sandbox/slot_line.h"

namespace heddle::sandbox {

class Module;

enum class Strategy : std::uint8_t { kCranelift, kPulley };

struct EngineOptions {
  Strategy strategy = Strategy::kCranelift;
  // Folder of the compile cache; empty: none. Must be owned by the effective user with mode 0700
  // (created so); otherwise it is not used, and a warning says why.
  std::string cache_dir = {};
  std::uint32_t instances = 1000;  // slots of the pooling allocator
  // Further slots, with a stack of `guest_stack` + 512 KiB each, for instances whose host calls may
  // wait (suspend.h).
  std::uint32_t suspendable_instances = 0;
  std::size_t memory_keep_resident =
      128 * 1024;                     // bytes of a slot kept and wiped instead of unmapped
  std::chrono::milliseconds tick{1};  // resolution of time-outs
  std::size_t guest_stack = std::size_t{512} * 1024;
};

class Engine {
 public:
  // Checks the address-space reservation before it asks the engine for it (which would abort the
  // process).
  static Result<std::unique_ptr<Engine>> create(const EngineOptions& options, Log& log,
                                                metrics::Registry& metrics);
  virtual ~Engine() = default;

  // Compiles, or loads from the cache, binary Wasm or (for tests and tools) WAT text. Errors name
  // `name` and what is wrong with the bytes: empty, not Wasm, truncated, a component, an
  // unsupported feature.
  virtual Result<std::shared_ptr<const Module>> compile(std::span<const std::byte> bytes,
                                                        std::string_view name) = 0;

  // Of those who found engine.suspendable_instances in use.
  SlotLine& slot_line() { return slot_line_; }

 private:
  SlotLine slot_line_;
};

}  // namespace heddle::sandbox
