#include "sandbox/wasmtime_instance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <ctime>
#include <exception>

namespace heddle::sandbox {
namespace {

// Nested calls: a host function runs the guest's allocator, which may log, and no more. The native
// stack is bounded too.
constexpr int kMaxDepth = 16;
// The first look at the clock. A call that lives to see it is long enough to pay for the thread's
// CPU time.
constexpr std::uint64_t kFirstTicks = 2;

std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t kKiB = 1024;
  constexpr std::uint64_t kMiB = kKiB * kKiB;
  if (bytes % kMiB == 0) return fmt::format("{} MiB", bytes / kMiB);
  if (bytes > 64 * kMiB) return fmt::format("{} MiB", bytes / kMiB + 1);
  return fmt::format("{} KiB", (bytes + kKiB - 1) / kKiB);
}

extern "C" std::uint32_t heddle_sandbox_limiter(void* data, std::uint32_t kind,
                                                std::uint64_t /*current*/, std::uint64_t desired) {
  return static_cast<WasmtimeInstance*>(data)->allow_growth(kind, desired) ? 1 : 0;
}

wasmtime_error_t* on_epoch(wasmtime_context_t* /*context*/, void* data, std::uint64_t* delta,
                           wasmtime_update_deadline_kind_t* kind) {
  *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
  return static_cast<WasmtimeInstance*>(data)->look_at_clock(delta, kind);
}

}  // namespace

std::string duration_text(std::chrono::nanoseconds duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return us % 1000 == 0 ? fmt::format("{} ms", us / 1000) : fmt::format("{} us", us);
}

std::chrono::nanoseconds thread_cpu() {
  timespec ts{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec);
}

WasmtimeInstance::WasmtimeInstance(std::shared_ptr<const WasmtimeLinkedModule> linked,
                                   const Limits& limits, void* user, WasiHost* wasi, Loop* loop)
    : Instance(limits, user, wasi),
      linked_(std::move(linked)),
      engine_(linked_->wasmtime_module().engine()),
      store_(wasmtime_store_new(engine_.handle(), this, nullptr)),
      context_(wasmtime_store_context(store_.get())),
      loop_(loop) {
  heddle_wasmtime_store_limiter(store_.get(), &heddle_sandbox_limiter, this);
  wasmtime_store_epoch_deadline_callback(store_.get(), &on_epoch, this, nullptr);
  engine_.metrics().created->add();
}

WasmtimeInstance::~WasmtimeInstance() {
  assert(depth_ == 0 && "destroyed while its guest runs");
  self_.reset();
  if (loop_ != nullptr) {
    cancel();
    store_.reset();  // before others take the slot
    engine_.release_suspendable();
  }
  engine_.metrics().destroyed->add();
}

Result<void> WasmtimeInstance::check_initial_memory() const {
  if (module().initial_memory_bytes() > limits_.memory) {
    return fail(ErrorKind::kLimit,
                fmt::format("module {} starts with {} of memory, its limit is {} (memory_limit)",
                            module().name(), size_text(module().initial_memory_bytes()),
                            size_text(limits_.memory)));
  }
  return {};
}

Result<void> WasmtimeInstance::start() {
  if (auto fits = check_initial_memory(); !fits) return fits;
  wasm_trap_t* raw_trap = nullptr;
  begin();
  ++depth_;
  const ErrorHandle error(
      wasmtime_instance_pre_instantiate(linked_->handle(), context_, &instance_, &raw_trap));
  --depth_;
  end();
  const TrapHandle trap(raw_trap);
  return finish_start(trap.get(), error.get());
}

Result<void> WasmtimeInstance::finish_start(const wasm_trap_t* trap,
                                            const wasmtime_error_t* error) {
  if (trap != nullptr || error != nullptr) return std::unexpected(start_error(trap, error));
  started_ = true;
  const std::string& name = module().memory_export();
  if (!name.empty() && !has_memory_) {
    wasmtime_extern_t item;
    if (wasmtime_instance_export_get(context_, &instance_, name.data(), name.size(), &item)) {
      adopt_memory(item);
    }
  }
  return {};
}

Error WasmtimeInstance::start_error(const wasm_trap_t* trap, const wasmtime_error_t* error) {
  const std::string& name = module().name();
  if (error != nullptr && pending_ == nullptr) {
    const std::string text = one_line(error_text(*error));
    if (text.contains("maximum concurrent")) {
      engine_.metrics().pool_full->add();
      return {ErrorKind::kLimit, fmt::format("module {}: all {} instance slots are in use ({})",
                                             name, engine_.slots(), text)};
    }
    if (denied_ == Growth::kTable) {
      return {ErrorKind::kLimit,
              fmt::format("module {} starts with a table of {} elements, its limit is {}", name,
                          denied_size_, limits_.table_elements)};
    }
    if (backtrace_of(nullptr, error).empty()) {
      return {ErrorKind::kInternal, fmt::format("module {}: {}", name, text)};
    }
  }
  const auto ended = finish("start", trap, error);
  return {ErrorKind::kTrap, fmt::format("module {} trapped while it started: {}{}{}", name,
                                        ended->message, ended->backtrace.empty() ? "" : "; in ",
                                        ended->backtrace.substr(0, ended->backtrace.find('\n')))};
}

void WasmtimeInstance::open_account() {
  host_calls_ = 0;
  cpu_used_ = std::chrono::nanoseconds(0);
  fiber_depth_ = 1;
  denied_ = Growth::kNone;
  last_ = {};
  pending_.reset();
}

bool WasmtimeInstance::next_is_timed() {
  if (++not_timed_ < timed_one_in_) return false;
  not_timed_ = 0;
  return true;
}

void WasmtimeInstance::begin() {
  enter_slot();
  wasmtime_context_set_epoch_deadline(context_, kFirstTicks);
  unseen_ = sampled_cpu_ = std::chrono::nanoseconds(0);
  open_account();
  begun_ = next_is_timed() ? engine_.clock().now() : 0;
}

void WasmtimeInstance::end() {
  last_.host_calls = host_calls_;
  last_.stands_for = 0;
  if (begun_ != 0) {
    const CycleClock& clock = engine_.clock();
    last_.wall = unseen_ + std::chrono::nanoseconds(clock.nanoseconds(clock.now() - begun_));
    last_.cpu = last_.wall;
    last_.stands_for = timed_one_in_;
  }
  if (sampled_cpu_.count() != 0) [[unlikely]] {
    last_.cpu = std::min(last_.wall, sampled_wall_ + (thread_cpu() - sampled_cpu_));
    last_.stands_for = 1;
  }
  slot_->leave();
}

wasmtime_error_t* WasmtimeInstance::look_at_clock(std::uint64_t* delta,
                                                  wasmtime_update_deadline_kind_t* kind) {
  if (loop_ != nullptr) return give_way(delta, kind);
  const CycleClock& clock = engine_.clock();
  // Of a call that was not to be timed nobody knows how long it has run: its time-out counts from
  // here, so that it is never early.
  if (begun_ == 0) {
    begun_ = clock.now();
    unseen_ = kFirstTicks * engine_.ticker().tick();
  }
  const std::chrono::nanoseconds wall(clock.nanoseconds(clock.now() - begun_));
  if (sampled_cpu_.count() == 0) {
    sampled_wall_ = unseen_ + wall;
    sampled_cpu_ = thread_cpu();
  }
  if (wall < limits_.timeout) {
    *delta = static_cast<std::uint64_t>((limits_.timeout - wall) / engine_.ticker().tick()) + 1;
    return nullptr;
  }
  if (pending_ == nullptr) {
    raise(TrapReason::kTimeout,
          fmt::format("time limit of {} reached (timeout)", duration_text(limits_.timeout)), 0);
  }
  return wasmtime_error_new("timeout");
}

bool WasmtimeInstance::allow_growth(std::uint32_t kind, std::uint64_t desired) {
  const bool is_memory = kind == 0;
  if (is_memory) {
    memory_stale_ = true;
    ++growths_;
  }
  if (desired <= (is_memory ? limits_.memory : limits_.table_elements)) return true;
  if (is_memory) last_.denied_memory = true;
  (is_memory ? engine_.metrics().denied_memory : engine_.metrics().denied_table)->add();
  denied_ = is_memory ? Growth::kMemory : Growth::kTable;
  denied_size_ = desired;
  return false;
}

std::optional<GuestPtr> WasmtimeInstance::grow_memory(std::size_t bytes) {
  constexpr std::size_t kPage = 65536;
  if (!has_memory_ || dead_) return std::nullopt;
  std::uint64_t pages_before = 0;
  const ErrorHandle error(
      wasmtime_memory_grow(context_, &memory_, (bytes + kPage - 1) / kPage, &pages_before));
  memory_stale_ = true;
  if (error != nullptr) return std::nullopt;
  return static_cast<GuestPtr>(pages_before * kPage);
}

void WasmtimeInstance::refresh_memory() {
  if (!has_memory_) return;
  view_ = GuestMemory(reinterpret_cast<char*>(wasmtime_memory_data(context_, &memory_)),
                      wasmtime_memory_data_size(context_, &memory_));
  memory_stale_ = false;
}

void WasmtimeInstance::adopt_memory(const wasmtime_extern_t& item) {
  if (item.kind == WASMTIME_EXTERN_MEMORY) {
    memory_ = item.of.memory;
    has_memory_ = true;
    refresh_memory();
  } else {
    wasmtime_extern_t owned = item;
    wasmtime_extern_delete(&owned);
  }
}

// While the start function runs there is no instance to ask yet.
void WasmtimeInstance::adopt_memory_of(wasmtime_caller_t& caller) {
  const std::string& name = module().memory_export();
  wasmtime_extern_t item;
  if (!name.empty() && wasmtime_caller_export_get(&caller, name.data(), name.size(), &item)) {
    adopt_memory(item);
  }
}

void WasmtimeInstance::raise(TrapReason reason, std::string message, std::int32_t exit_code) {
  if (pending_ != nullptr) return;  // the first reason counts
  pending_ = std::make_unique<Trap>();
  pending_->reason = reason;
  pending_->message = std::move(message);
  pending_->exit_code = exit_code;
}

wasm_trap_t* WasmtimeInstance::host_call(const HostFunction& function, wasmtime_caller_t& caller,
                                         RawValue* values) {
  if (!started_ && !has_memory_) [[unlikely]]
    adopt_memory_of(caller);
  if (++host_calls_ > limits_.host_calls) [[unlikely]] {
    raise(TrapReason::kHostCallLimit,
          fmt::format("limit of {} host calls reached", limits_.host_calls), 0);
  } else {
    try {
      function.invoke(*this, values);
    } catch (const std::exception& error) {
      raise(TrapReason::kHost,
            fmt::format("host function {} failed: {}", function.name, error.what()), 0);
    }
  }
  if (pending_ == nullptr) [[likely]]
    return nullptr;
  return wasmtime_trap_new("", 0);
}

std::unique_ptr<Trap> WasmtimeInstance::refuse_call(const char* name) {
  auto trap = std::make_unique<Trap>();
  trap->function = name == nullptr ? "" : name;
  if (name == nullptr) {
    trap->message = "called a function that the module does not export";
  } else if (dead_) {
    trap->message = "the instance has trapped before and cannot run again";
  } else {
    trap->reason = TrapReason::kStackOverflow;
    trap->message = fmt::format("calls between host and guest nest deeper than {}", kMaxDepth);
  }
  return trap;
}

std::unique_ptr<Trap> WasmtimeInstance::invoke(const std::array<std::byte, 16>& handle,
                                               const char* name, RawValue* values,
                                               std::size_t count) {
  assert((loop_ == nullptr || depth_ > 0) && "a suspendable instance is called by call_async()");
  if (dead_ || name == nullptr || depth_ >= kMaxDepth) [[unlikely]]
    return refuse_call(name);
  static_assert(sizeof(wasmtime_func_t) == sizeof handle);
  static_assert(sizeof(wasmtime_val_raw_t) == sizeof(RawValue));
  wasmtime_func_t function;
  std::memcpy(&function, handle.data(), sizeof function);

  wasm_trap_t* trap = nullptr;
  const bool outermost = depth_ == 0;
  if (outermost) begin();
  ++depth_;
  wasmtime_error_t* error = wasmtime_func_call_unchecked(
      context_, &function, reinterpret_cast<wasmtime_val_raw_t*>(values), count, &trap);
  --depth_;
  if (outermost) end();
  if (trap == nullptr && error == nullptr) [[likely]]
    return nullptr;

  const TrapHandle owned_trap(trap);
  const ErrorHandle owned_error(error);
  return finish(name, trap, error);
}

std::optional<wasmtime_func_t> WasmtimeInstance::at_table(std::uint32_t index, std::string& why) {
  const auto exports = module().exports();
  const auto table = std::ranges::find(exports, ExternKind::kTable, &Export::kind);
  wasmtime_extern_t item;
  if (table == exports.end() ||
      !wasmtime_instance_export_get(context_, &instance_, table->name.data(), table->name.size(),
                                    &item)) {
    why = "the module exports no table; link it with -Wl,--export-table";
    return std::nullopt;
  }
  wasmtime_val_t value;
  if (!wasmtime_table_get(context_, &item.of.table, index, &value)) {
    why = fmt::format("table index {} is out of bounds", index);
    return std::nullopt;
  }
  if (value.kind != WASMTIME_FUNCREF || wasmtime_funcref_is_null(&value.of.funcref)) {
    why = fmt::format("table index {} holds no function", index);
    wasmtime_val_unroot(&value);
    return std::nullopt;
  }
  return value.of.funcref;
}

// The call that checks types: a pointer may lead to a function of any.
GuestResult<std::int32_t> WasmtimeInstance::call_indirect(const char* name, std::uint32_t index,
                                                          std::span<const std::int32_t> arguments,
                                                          bool has_result) {
  constexpr std::size_t kMaxArguments = 8;
  std::array<wasmtime_val_t, kMaxArguments> values{};
  if (dead_ || depth_ >= kMaxDepth || arguments.size() > kMaxArguments)
    return std::unexpected(std::move(*refuse_call(name)));
  std::string why;
  const auto function = at_table(index, why);
  if (!function) {
    Trap missing;
    missing.reason = TrapReason::kIndirectCall;
    missing.message = why;
    missing.function = name;
    return std::unexpected(std::move(missing));
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    values.at(i).kind = WASMTIME_I32;
    values.at(i).of.i32 = arguments[i];
  }
  wasmtime_val_t result{};
  wasm_trap_t* trap = nullptr;
  const bool outermost = depth_ == 0;
  if (outermost) begin();
  ++depth_;
  wasmtime_error_t* error = wasmtime_func_call(
      context_, &*function, values.data(), arguments.size(), &result, has_result ? 1 : 0, &trap);
  --depth_;
  if (outermost) end();
  const TrapHandle owned_trap(trap);
  const ErrorHandle owned_error(error);
  if (trap != nullptr || error != nullptr) {
    return std::unexpected(std::move(*finish(name, trap, error)));
  }
  return has_result && result.kind == WASMTIME_I32 ? result.of.i32 : 0;
}

std::unique_ptr<Trap> WasmtimeInstance::finish(const char* name, const wasm_trap_t* trap,
                                               const wasmtime_error_t* error) {
  std::unique_ptr<Trap> out = std::move(pending_);
  if (out == nullptr) {
    out = std::make_unique<Trap>(describe_trap(trap, error));
    blame_denied_growth(*out);
  } else if (out->reason == TrapReason::kExit && out->exit_code != 0) {
    blame_denied_growth(*out);
  }
  if (out->backtrace.empty()) out->backtrace = backtrace_of(trap, error);
  out->function = name;
  // A clean exit leaves the guest whole: Go command builds serve their exports after it.
  if (out->reason != TrapReason::kExit || out->exit_code != 0) dead_ = true;
  if (depth_ > 0) {
    // Whatever the host function makes of it, the guest that called the host function must not go
    // on.
    pending_ = std::make_unique<Trap>(*out);
  } else {
    engine_.metrics().traps[static_cast<std::size_t>(out->reason)]->add();
  }
  return out;
}

// A guest that cannot get memory usually aborts; the limit, not the abort, is what its operator
// must hear of.
void WasmtimeInstance::blame_denied_growth(Trap& trap) const {
  const bool follows = trap.reason == TrapReason::kUnreachable ||
                       trap.reason == TrapReason::kOutOfBounds || trap.reason == TrapReason::kExit;
  if (!follows || denied_ == Growth::kNone) return;
  if (denied_ == Growth::kMemory) {
    trap.reason = TrapReason::kMemoryLimit;
    trap.message = fmt::format("memory limit of {} reached (asked for {})",
                               size_text(limits_.memory), size_text(denied_size_));
  } else {
    trap.reason = TrapReason::kTableLimit;
    trap.message = fmt::format("table limit of {} elements reached (asked for {})",
                               limits_.table_elements, denied_size_);
  }
}

Result<const char*> WasmtimeInstance::find(std::string_view name,
                                           std::span<const ValueType> parameters,
                                           std::span<const ValueType> results,
                                           std::array<std::byte, 16>& handle) {
  const Export* found = module().lookup(name);
  if (found == nullptr) return nullptr;
  if (found->kind != ExternKind::kFunction) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("export {} is a {}, not a function", name, to_string(found->kind)));
  }
  if (!std::ranges::equal(found->type.parameters, parameters) ||
      !std::ranges::equal(found->type.results, results)) {
    const FunctionType wanted{{parameters.begin(), parameters.end()},
                              {results.begin(), results.end()}};
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("export {} has type {}, Heddle calls it as {}", name,
                            to_string(found->type), to_string(wanted)));
  }
  wasmtime_extern_t item;
  if (!started_ ||
      !wasmtime_instance_export_get(context_, &instance_, name.data(), name.size(), &item)) {
    return fail(ErrorKind::kConflict, fmt::format("export {}: the module has not started", name));
  }
  std::memcpy(handle.data(), &item.of.func, handle.size());
  return found->name.c_str();
}

wasm_trap_t* call_host_function(void* function, wasmtime_caller_t* caller,
                                wasmtime_val_raw_t* values, std::size_t /*count*/) {
  auto* instance =
      static_cast<WasmtimeInstance*>(wasmtime_context_get_data(wasmtime_caller_context(caller)));
  return instance->host_call(*static_cast<const HostFunction*>(function), *caller,
                             reinterpret_cast<RawValue*>(values));
}

Result<std::unique_ptr<Instance>> Instance::create(std::shared_ptr<const LinkedModule> linked,
                                                   const Limits& limits, void* user,
                                                   WasiHost* wasi) {
  auto out = std::make_unique<WasmtimeInstance>(
      std::static_pointer_cast<const WasmtimeLinkedModule>(std::move(linked)), limits, user, wasi,
      nullptr);
  if (auto started = out->start(); !started) return std::unexpected(std::move(started.error()));
  return out;
}

}  // namespace heddle::sandbox
