#include <fmt/format.h>

#include <cassert>
#include <cstring>
#include <utility>

#include "sandbox/wasmtime_instance.h"

namespace heddle::sandbox {
namespace {

constexpr std::string_view kWaitName = "wait";
// A guest that computes runs this long before others get their turn.
constexpr std::uint64_t kSliceTicks = 2;

wasmtime_val_t to_value(const RawValue& raw, ValueType type) {
  wasmtime_val_t out{};
  switch (type) {
    case ValueType::kI64:
      out.kind = WASMTIME_I64;
      out.of.i64 = raw.get<std::int64_t>();
      break;
    case ValueType::kF32:
      out.kind = WASMTIME_F32;
      out.of.f32 = raw.get<float>();
      break;
    case ValueType::kF64:
      out.kind = WASMTIME_F64;
      out.of.f64 = raw.get<double>();
      break;
    default:
      out.kind = WASMTIME_I32;
      out.of.i32 = raw.get<std::int32_t>();
  }
  return out;
}

RawValue to_raw(const wasmtime_val_t& value) {
  RawValue out{};
  switch (value.kind) {
    case WASMTIME_I64:
      out.set(value.of.i64);
      break;
    case WASMTIME_F32:
      out.set(value.of.f32);
      break;
    case WASMTIME_F64:
      out.set(value.of.f64);
      break;
    default:
      out.set(value.of.i32);
  }
  return out;
}

bool wait_is_over(void* instance) {
  return static_cast<WasmtimeInstance*>(instance)->resumed();
}

void begin_wait(void* /*env*/, wasmtime_caller_t* caller, const wasmtime_val_t* /*arguments*/,
                std::size_t /*argument_count*/, wasmtime_val_t* /*results*/,
                std::size_t /*result_count*/, wasm_trap_t** /*trap*/,
                wasmtime_async_continuation_t* continuation) {
  continuation->callback = &wait_is_over;
  continuation->env = wasmtime_context_get_data(wasmtime_caller_context(caller));
  continuation->finalizer = nullptr;
}

}  // namespace

LinkerHandle make_wait_linker(wasm_engine_t* engine) {
  LinkerHandle out(wasmtime_linker_new(engine));
  wasm_valtype_vec_t none{};
  wasm_valtype_vec_t no_results{};
  wasm_valtype_vec_new_empty(&none);
  wasm_valtype_vec_new_empty(&no_results);
  const FunctionTypeHandle type(wasm_functype_new(&none, &no_results));
  const ErrorHandle error(wasmtime_linker_define_async_func(
      out.get(), kWaitName.data(), kWaitName.size(), kWaitName.data(), kWaitName.size(), type.get(),
      &begin_wait, nullptr, nullptr));
  assert(error == nullptr && "an empty linker takes every name");
  return out;
}

wasmtime_func_t WasmtimeEngine::wait_function(wasmtime_context_t& context) const {
  wasmtime_extern_t item{};
  const bool found = wasmtime_linker_get(waits_.get(), &context, kWaitName.data(), kWaitName.size(),
                                         kWaitName.data(), kWaitName.size(), &item);
  assert(found);
  static_cast<void>(found);
  return item.of.func;
}

Result<void> WasmtimeEngine::take_suspendable(std::string_view module) {
  if (suspendable_.fetch_add(1, std::memory_order_relaxed) < suspendable_limit_) return {};
  suspendable_.fetch_sub(1, std::memory_order_relaxed);
  metrics_.suspendable_full->add();
  return fail(ErrorKind::kLimit,
              fmt::format("module {}: all {} instances whose host calls may wait are in use "
                          "(engine.suspendable_instances; in the library max_instances)",
                          module, suspendable_limit_));
}

void WasmtimeEngine::release_suspendable() {
  suspendable_.fetch_sub(1, std::memory_order_relaxed);
  slot_line().give_back();
}

Result<std::unique_ptr<Instance>> Instance::create_suspendable(
    std::shared_ptr<const LinkedModule> linked, const Limits& limits, void* user, WasiHost* wasi,
    Loop& loop) {
  auto module = std::static_pointer_cast<const WasmtimeLinkedModule>(std::move(linked));
  const WasmtimeModule& source = module->wasmtime_module();
  if (auto taken = source.engine().take_suspendable(source.name()); !taken) {
    return std::unexpected(std::move(taken.error()));
  }
  return std::make_unique<WasmtimeInstance>(std::move(module), limits, user, wasi, &loop);
}

void WasmtimeInstance::start_async(std::move_only_function<void(Result<void>)> done) {
  assert(loop_ != nullptr && !started_ && call_.future == nullptr);
  if (auto fits = check_initial_memory(); !fits) return done(std::move(fits));
  open_account();
  begun_ = engine_.clock().now();
  call_.future.reset(wasmtime_instance_pre_instantiate_async(
      linked_->handle(), context_, &instance_, &call_.trap, &call_.error));
  call_.done = [this, done = std::move(done)](const wasm_trap_t* trap,
                                              const wasmtime_error_t* error) mutable {
    done(finish_start(trap, error));
  };
  run();
}

void WasmtimeInstance::invoke_async(const std::array<std::byte, 16>& handle, const char* name,
                                    std::span<const RawValue> values,
                                    std::span<const ValueType> types, bool has_result,
                                    RawDone done) {
  assert(loop_ != nullptr && call_.future == nullptr && "one call at a time");
  if (dead_ || name == nullptr) return done(refuse_call(name), RawValue{});
  std::memcpy(&call_.function, handle.data(), sizeof call_.function);
  for (std::size_t i = 0; i < values.size(); ++i) {
    call_.arguments[i] = to_value(values[i], types[i]);
  }
  open_account();
  begun_ = engine_.clock().now();
  call_.future.reset(wasmtime_func_call_async(context_, &call_.function, call_.arguments.data(),
                                              values.size(), &call_.result, has_result ? 1 : 0,
                                              &call_.trap, &call_.error));
  call_.done = [this, name, done = std::move(done)](const wasm_trap_t* trap,
                                                    const wasmtime_error_t* error) mutable {
    if (trap == nullptr && error == nullptr) return done(nullptr, to_raw(call_.result));
    done(finish(name, trap, error), RawValue{});
  };
  run();
}

void WasmtimeInstance::begin_slice() {
  enter_slot();
  wasmtime_context_set_epoch_deadline(context_, kSliceTicks);
  // Only a guest that computes for long is worth a look at the thread's clock, which tells what the
  // kernel ran in between.
  slice_thread_cpu_ = std::exchange(gave_way_, false) ? thread_cpu() : std::chrono::nanoseconds(0);
  slice_begun_ = engine_.clock().now();
}

std::chrono::nanoseconds WasmtimeInstance::slice_cpu(std::uint64_t now) const {
  if (slice_thread_cpu_.count() != 0) return thread_cpu() - slice_thread_cpu_;
  return std::chrono::nanoseconds(engine_.clock().nanoseconds(now - slice_begun_));
}

void WasmtimeInstance::end_slice() {
  const CycleClock& clock = engine_.clock();
  const std::uint64_t now = clock.now();
  cpu_used_ += slice_cpu(now);
  slot_->leave();
  last_.wall = std::chrono::nanoseconds(clock.nanoseconds(now - begun_));
  last_.cpu = cpu_used_;
  last_.host_calls = host_calls_;
}

wasmtime_error_t* WasmtimeInstance::give_way(std::uint64_t* delta,
                                             wasmtime_update_deadline_kind_t* kind) {
  if (cpu_used_ + slice_cpu(engine_.clock().now()) >= limits_.cpu) {
    if (pending_ == nullptr) {
      raise(TrapReason::kCpuLimit,
            fmt::format("CPU time limit of {} reached (cpu_limit)", duration_text(limits_.cpu)), 0);
    }
    return wasmtime_error_new("cpu limit");
  }
  gave_way_ = true;
  *delta = kSliceTicks;
  *kind = WASMTIME_UPDATE_DEADLINE_YIELD;
  return nullptr;
}

// Runs the guest until it ends, waits, or has had its slice.
void WasmtimeInstance::run() {
  while (true) {
    begin_slice();
    running_ = true;
    depth_ = fiber_depth_;
    const bool ended = wasmtime_call_future_poll(call_.future.get());
    fiber_depth_ = std::exchange(depth_, 0);
    running_ = false;
    end_slice();
    if (ended) break;
    const std::weak_ptr<WasmtimeInstance*> self = self_;
    const std::uint64_t number = wait_number_;
    if (gave_way_) {
      loop_->post([self, number] {
        if (const auto alive = self.lock()) (*alive)->go_on(number);
      });
      return;
    }
    engine_.metrics().suspended->add(1);
    starting_ = true;
    wait_->start([self, number] {
      if (const auto alive = self.lock()) (*alive)->go_on(number);
    });
    if (self.expired()) return;
    starting_ = false;
    if (!resumed_) return;
  }
  const TrapHandle trap(std::exchange(call_.trap, nullptr));
  const ErrorHandle error(std::exchange(call_.error, nullptr));
  call_.future.reset();
  auto done = std::exchange(call_.done, nullptr);
  done(trap.get(), error.get());
}

void WasmtimeInstance::go_on(std::uint64_t wait_number) {
  if (call_.future == nullptr || wait_number != wait_number_ || running_) return;
  if (wait_ != nullptr) {
    if (resumed_) return;
    resumed_ = true;
    engine_.metrics().suspended->add(-1);
    if (starting_) return;
  }
  run();
}

bool WasmtimeInstance::wait(Wait& wait) {
  if (pending_ != nullptr) return false;
  if (!running_) {
    raise(TrapReason::kHost, "a host function had to wait where the guest cannot be suspended", 0);
    return false;
  }
  if (!wait_function_) wait_function_ = engine_.wait_function(*context_);
  wait_ = &wait;
  resumed_ = false;
  ++wait_number_;
  wasm_trap_t* trap = nullptr;
  wasmtime_val_raw_t none{};
  const ErrorHandle error(
      wasmtime_func_call_unchecked(context_, &*wait_function_, &none, 1, &trap));
  const TrapHandle owned(trap);
  wait_ = nullptr;
  ++wait_number_;
  memory_stale_ = true;
  if (error == nullptr && trap == nullptr) return true;
  raise(TrapReason::kHost, "cancelled while it waited", 0);
  return false;
}

void WasmtimeInstance::cancel() {
  if (call_.future == nullptr) return;
  dead_ = true;
  call_.done = nullptr;
  if (wait_ != nullptr && !resumed_) engine_.metrics().suspended->add(-1);
  running_ = true;
  depth_ = fiber_depth_;
  call_.future.reset();
  depth_ = 0;
  running_ = false;
  const TrapHandle trap(std::exchange(call_.trap, nullptr));
  const ErrorHandle error(std::exchange(call_.error, nullptr));
}

}  // namespace heddle::sandbox
