// Private to the wasmtime_*.cc files: one running copy of a module. wasmtime_instance.cc has what
// every instance does, wasmtime_suspend.cc what suspendable ones do beside.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "sandbox/wasmtime_api.h"

namespace heddle::sandbox {

std::string duration_text(std::chrono::nanoseconds duration);
std::chrono::nanoseconds thread_cpu();

class WasmtimeInstance final : public Instance {
 public:
  WasmtimeInstance(std::shared_ptr<const WasmtimeLinkedModule> linked, const Limits& limits,
                   void* user, WasiHost* wasi, Loop* loop);
  ~WasmtimeInstance() override;
  WasmtimeInstance(const WasmtimeInstance&) = delete;
  WasmtimeInstance& operator=(const WasmtimeInstance&) = delete;

  Result<void> start();
  GuestMemory memory() override {
    if (memory_stale_) refresh_memory();
    return view_;
  }
  std::optional<GuestPtr> grow_memory(std::size_t bytes) override;
  void raise(TrapReason reason, std::string message, std::int32_t exit_code) override;
  GuestResult<std::int32_t> call_indirect(const char* name, std::uint32_t index,
                                          std::span<const std::int32_t> arguments,
                                          bool has_result) override;

  wasm_trap_t* host_call(const HostFunction& function, wasmtime_caller_t& caller, RawValue* values);
  // Null: goes on, with `*delta` ticks until the next look.
  wasmtime_error_t* look_at_clock(std::uint64_t* delta, wasmtime_update_deadline_kind_t* kind);
  bool resumed() const { return resumed_; }
  bool allow_growth(std::uint32_t kind, std::uint64_t desired);

  void start_async(std::move_only_function<void(Result<void>)> done) override;
  bool wait(Wait& wait) override;
  bool suspendable() const override { return loop_ != nullptr; }

 protected:
  std::unique_ptr<Trap> invoke(const std::array<std::byte, 16>& handle, const char* name,
                               RawValue* values, std::size_t count) override;
  void invoke_async(const std::array<std::byte, 16>& handle, const char* name,
                    std::span<const RawValue> values, std::span<const ValueType> types,
                    bool has_result, RawDone done) override;
  Result<const char*> find(std::string_view name, std::span<const ValueType> parameters,
                           std::span<const ValueType> results,
                           std::array<std::byte, 16>& handle) override;

 private:
  enum class Growth : std::uint8_t { kNone, kMemory, kTable };

  void open_account();
  bool next_is_timed();
  void enter_slot() {
    slot_ = &engine_.ticker().slot();
    slot_->enter(engine_.ticker());
  }
  void begin();
  void end();
  void begin_slice();
  void end_slice();
  std::chrono::nanoseconds slice_cpu(std::uint64_t now) const;  // `now`: of the cycle clock
  wasmtime_error_t* give_way(std::uint64_t* delta, wasmtime_update_deadline_kind_t* kind);
  void run();
  void go_on(std::uint64_t wait_number);
  void cancel();
  Result<void> check_initial_memory() const;
  Result<void> finish_start(const wasm_trap_t* trap, const wasmtime_error_t* error);
  void refresh_memory();
  void adopt_memory(const wasmtime_extern_t& item);
  void adopt_memory_of(wasmtime_caller_t& caller);
  // Null and a reason when there is none.
  std::optional<wasmtime_func_t> at_table(std::uint32_t index, std::string& why);
  std::unique_ptr<Trap> refuse_call(const char* name);
  std::unique_ptr<Trap> finish(const char* name, const wasm_trap_t* trap,
                               const wasmtime_error_t* error);
  void blame_denied_growth(Trap& trap) const;
  Error start_error(const wasm_trap_t* trap, const wasmtime_error_t* error);
  const WasmtimeModule& module() const { return linked_->wasmtime_module(); }

  std::shared_ptr<const WasmtimeLinkedModule> linked_;
  WasmtimeEngine& engine_;
  EpochTicker::Slot* slot_ = nullptr;  // of the thread that runs the guest; from begin to end
  StoreHandle store_;
  wasmtime_context_t* context_ = nullptr;
  wasmtime_instance_t instance_{};
  wasmtime_memory_t memory_{};
  bool started_ = false;
  bool has_memory_ = false;
  bool memory_stale_ = false;
  GuestMemory view_;

  // Of the outermost call that runs, or ran last.
  std::uint64_t begun_ = 0;      // 0: it is not timed
  std::uint32_t not_timed_ = 0;  // calls since one was
  std::uint64_t host_calls_ = 0;
  std::chrono::nanoseconds unseen_{0};        // of the call, before `begun_`: a guess
  std::chrono::nanoseconds sampled_wall_{0};  // where the CPU time was first read
  std::chrono::nanoseconds sampled_cpu_{0};   // 0: it was not
  Growth denied_ = Growth::kNone;
  std::uint64_t denied_size_ = 0;
  std::unique_ptr<Trap> pending_;  // what the call will end with once control is back in the engine

  // Of a suspendable instance (wasmtime_suspend.cc).
  struct Call {
    // The engine reads and writes these until the future is gone.
    wasmtime_func_t function{};
    std::array<wasmtime_val_t, HostFunction::kMaxParameters> arguments{};
    wasmtime_val_t result{};
    wasm_trap_t* trap = nullptr;
    wasmtime_error_t* error = nullptr;
    FutureHandle future;  // set: the call runs or is suspended
    std::move_only_function<void(const wasm_trap_t*, const wasmtime_error_t*)> done;
  };
  Loop* loop_ = nullptr;
  Call call_;
  Wait* wait_ = nullptr;  // what the guest waits for
  std::uint64_t wait_number_ = 0;
  bool starting_ = false;  // in Wait::start()
  bool resumed_ = false;
  bool running_ = false;  // on the thread's stack is a poll of the call
  bool gave_way_ = false;
  int fiber_depth_ = 0;
  std::uint64_t slice_begun_ = 0;
  std::chrono::nanoseconds slice_thread_cpu_{0};  // 0: not read when the slice began
  std::chrono::nanoseconds cpu_used_{0};          // by the slices before
  std::optional<wasmtime_func_t> wait_function_;
  // For those who may come after it is gone.
  std::shared_ptr<WasmtimeInstance*> self_ = std::make_shared<WasmtimeInstance*>(this);
};

}  // namespace heddle::sandbox
