// A linked module and its instances. An instance belongs to one worker; nothing here is thread-safe
// but LinkedModule.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "sandbox/engine.h"
#include "sandbox/guest_memory.h"
#include "sandbox/host_function.h"
#include "sandbox/module.h"
#include "sandbox/suspend.h"

namespace heddle::sandbox {

enum class TrapReason : std::uint8_t {
  kUnreachable,  // abort, panic, unreachable
  kOutOfBounds,  // memory or table access
  kStackOverflow,
  kArithmetic,    // division by zero, overflow, bad conversion
  kIndirectCall,  // null or of another type
  kTimeout,       // `Limits::timeout`
  kMemoryLimit,   // trapped after `Limits::memory` denied a growth
  kTableLimit,
  kHostCallLimit,  // `Limits::host_calls`
  kExit,           // proc_exit; `exit_code` holds the status
  kHost,           // Instance::raise()
  kCpuLimit,       // `Limits::cpu`
  kOther,
};
std::string_view to_string(TrapReason reason);
// The limit that ended the guest, as its setting and its metric name it; nothing: none did. Memory
// counts when it is denied (CallCost), which a guest may survive.
std::optional<std::string_view> limit_of(TrapReason reason);
inline constexpr std::string_view kMemoryLimitName = "memory_limit";

// Why a guest call ended early. `message` is one line; `backtrace` has a frame a line, demangled,
// at most 20.
struct Trap {
  TrapReason reason = TrapReason::kOther;
  std::string message;
  std::string backtrace;
  std::string function;  // the export that was called
  std::int32_t exit_code = 0;
};

// "FUNCTION: MESSAGE (REASON)", the reason not twice.
std::string to_string(const Trap& trap);

template <typename T>
using GuestResult = std::expected<T, Trap>;

struct Limits {
  std::size_t memory = std::size_t{16} << 20U;  // linear memory, bytes
  std::uint32_t table_elements = 100'000;
  // Wall time of one outermost call; not of suspendable instances, whose caller ends wall time.
  std::chrono::nanoseconds timeout = std::chrono::milliseconds(100);
  std::uint64_t host_calls = 10'000;  // per outermost call
  // CPU time of one outermost call of a suspendable instance, without what it waited.
  std::chrono::nanoseconds cpu = std::chrono::seconds(1);
};

// Where a guest's standard streams and its environment come from; one per instance, owned by the
// contract.
class WasiHost {
 public:
  virtual ~WasiHost() = default;
  // `fd` is 1 or 2; the bytes as one fd_write gave them, gone after a wait. May wait.
  virtual void write(Instance& instance, int fd, std::string_view bytes) = 0;
  // Bytes of standard input, at most `most`, valid until the next call; empty: its end. May wait.
  virtual std::string_view read(Instance& /*instance*/, std::size_t /*most*/) { return {}; }
  // The guest sleeps. What does not wait moves its clock instead.
  virtual void sleep(Instance& instance, std::chrono::nanoseconds duration);
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "KEY=VALUE"
  // How far the guest's monotonic clock is ahead: a guest that sleeps is not made to wait, its
  // clock moves on instead.
  std::chrono::nanoseconds slept{0};
};

// A module with its imports resolved against host function tables. Instantiating it is cheap.
// Shared, immutable.
class LinkedModule {
 public:
  struct Options {
    // Imports that no table has become functions which raise a trap naming the import, instead of
    // failing the link.
    bool allow_missing = false;
    // Asked for each resolved import; a name it returns a function for replaces the table's (a
    // denied capability).
    const HostFunction* (*replace)(const void* context, std::string_view module,
                                   std::string_view name) = nullptr;
    const void* context = nullptr;
  };

  // Resolves every import. The error lists all missing imports with their types, and says for those
  // of a known name what type Heddle offers. The first table that has a name wins.
  static Result<std::shared_ptr<const LinkedModule>> create(
      Engine& engine, std::shared_ptr<const Module> module,
      std::span<const std::span<const HostFunction>> tables, const Options& options);
  static Result<std::shared_ptr<const LinkedModule>> create(
      Engine& engine, std::shared_ptr<const Module> module,
      std::span<const std::span<const HostFunction>> tables) {
    return create(engine, std::move(module), tables, Options{});
  }
  virtual ~LinkedModule() = default;
  virtual const Module& module() const = 0;
};

// An exported function with a checked type.
template <typename Signature>
class GuestFunction;

template <typename R, typename... Args>
class GuestFunction<R(Args...)> {
 public:
  GuestFunction() = default;
  explicit operator bool() const { return name_ != nullptr; }
  const char* name() const { return name_; }

 private:
  friend class Instance;
  std::array<std::byte, 16> handle_{};  // wasmtime_func_t
  const char* name_ = nullptr;          // lives as long as the module
};

// What one outermost guest call cost.
struct CallCost {
  std::chrono::nanoseconds wall{0};  // with what it waited
  // CPU time of the thread. Equal to wall for calls shorter than two ticks of the engine, where
  // reading the thread's clock would cost more than the call; longer ones do not count the time in
  // which the kernel ran something else.
  std::chrono::nanoseconds cpu{0};
  std::uint64_t host_calls = 0;
  // How many calls the times are those of; 0: it was not timed, and they are zero (time_one_in()).
  std::uint32_t stands_for = 1;
  bool denied_memory = false;  // more than `Limits::memory`
};

class Instance {
 public:
  // Instantiates: memory and tables from the pool, start function run under the limits. `user` is
  // what host functions get back by user<T>(). Fails with ErrorKind::kLimit at the pool's cap or
  // when the module starts with more memory than `limits.memory` (the text says how much it needs),
  // kTrap when the start function traps.
  static Result<std::unique_ptr<Instance>> create(std::shared_ptr<const LinkedModule> linked,
                                                  const Limits& limits, void* user, WasiHost* wasi);
  // One that may be suspended (suspend.h); start_async() instantiates it. Nothing has run yet.
  // Fails with kLimit when `EngineOptions::suspendable_instances` exist already.
  static Result<std::unique_ptr<Instance>> create_suspendable(
      std::shared_ptr<const LinkedModule> linked, const Limits& limits, void* user, WasiHost* wasi,
      Loop& loop);
  virtual ~Instance() = default;

  // Absent: an empty function. Of another type: an error that gives both types.
  template <typename Signature>
  Result<GuestFunction<Signature>> function(std::string_view name) {
    return lookup(name, static_cast<GuestFunction<Signature>*>(nullptr));
  }

  // Calls the guest. May nest (host function -> guest allocator); limits count for the outermost
  // call. After a trap the instance must not be called again (dead()), except after proc_exit(0),
  // which leaves it whole. A trap of a nested call ends the outer ones too, with the same reason.
  template <typename R, typename... Args>
  GuestResult<R> call(const GuestFunction<R(Args...)>& function,
                      std::type_identity_t<Args>... args) {
    std::array<RawValue, (sizeof...(Args) > 0 ? sizeof...(Args) : 1)> values{};
    std::size_t i = 0;
    ((values[i++].template set<Args>(args)), ...);
    if (auto trap = invoke(function.handle_, function.name_, values.data(), values.size())) {
      return std::unexpected(std::move(*trap));
    }
    if constexpr (std::is_void_v<R>) {
      return {};
    } else {
      return values[0].template get<R>();
    }
  }

  // Of a suspendable instance: what create() does for others, with its errors. `done` may come from
  // within, as with call_async(), and may destroy the instance.
  virtual void start_async(std::move_only_function<void(Result<void>)> done) = 0;

  // call() for suspendable instances, never from within a guest call (call() is for that: what it
  // calls may wait too). `done` comes once unless the instance is destroyed first; from within when
  // the guest did not have to wait. It may destroy the instance or start the next call.
  template <typename R, typename... Args>
  void call_async(const GuestFunction<R(Args...)>& function,
                  std::type_identity_t<std::move_only_function<void(GuestResult<R>)>> done,
                  std::type_identity_t<Args>... args) {
    std::array<RawValue, (sizeof...(Args) > 0 ? sizeof...(Args) : 1)> values{};
    std::array<ValueType, (sizeof...(Args) > 0 ? sizeof...(Args) : 1)> types{};
    std::size_t i = 0;
    ((types[i] = value_type<Args>(), values[i++].template set<Args>(args)), ...);
    invoke_async(function.handle_, function.name_, std::span(values).first(sizeof...(Args)), types,
                 !std::is_void_v<R>,
                 [done = std::move(done)](std::unique_ptr<Trap> trap, RawValue result) mutable {
                   if (trap != nullptr) {
                     done(std::unexpected(std::move(*trap)));
                   } else if constexpr (std::is_void_v<R>) {
                     done({});
                   } else {
                     done(result.get<R>());
                   }
                 });
  }

  // From within a host function: suspends the guest until `wait` resumes it. False: return from the
  // host function at once, for the call was cancelled, or the guest ends with a trap (as when the
  // instance is not suspendable).
  virtual bool wait(Wait& wait) = 0;
  virtual bool suspendable() const = 0;
  // Calls what a guest's function pointer points to: the function at `index` of its exported table.
  // All parameters are i32, so is the result if there is one. A module without such a table, a null
  // pointer and a function of another type are traps (kIndirectCall); they leave the instance whole
  // when nothing was called. `name` is for messages and outlives the instance.
  virtual GuestResult<std::int32_t> call_indirect(const char* name, std::uint32_t index,
                                                  std::span<const std::int32_t> arguments,
                                                  bool has_result) = 0;

  virtual GuestMemory memory() = 0;
  // Grows the memory by at least `bytes`, within the limits; the address of what is new. Nothing:
  // the limit, the module's own maximum, there is no memory, or the instance has trapped.
  virtual std::optional<GuestPtr> grow_memory(std::size_t bytes) = 0;

  // From within a host function: ends the guest with a trap when the host function returns.
  virtual void raise(TrapReason reason, std::string message, std::int32_t exit_code = 0) = 0;

  template <typename T>
  T& user() const {
    return *static_cast<T*>(user_);
  }
  WasiHost* wasi() const { return wasi_; }
  bool dead() const { return dead_; }
  int depth() const { return depth_; }  // guest calls on the stack

  // Of the last outermost call; and totals since creation.
  const CallCost& last_cost() const { return last_; }
  std::size_t memory_bytes() { return memory().size(); }
  // How often the memory grew or was not allowed to.
  std::uint64_t growths() const { return growths_; }
  // For who calls so often that two readings of the clock matter: from now on one call in `calls`
  // is timed and stands for as many. Those that last for two ticks are always, and stand for
  // themselves; of one that was not to be timed these ticks are a guess, and the time-out counts
  // from then on. Not for call_async().
  void time_one_in(std::uint32_t calls) { timed_one_in_ = calls; }
  void set_limits(const Limits& limits) { limits_ = limits; }
  const Limits& limits() const { return limits_; }

 protected:
  Instance(const Limits& limits, void* user, WasiHost* wasi)
      : limits_(limits), user_(user), wasi_(wasi) {}

  // Null: success, results in `values`.
  virtual std::unique_ptr<Trap> invoke(const std::array<std::byte, 16>& handle, const char* name,
                                       RawValue* values, std::size_t count) = 0;
  using RawDone = std::move_only_function<void(std::unique_ptr<Trap>, RawValue)>;
  virtual void invoke_async(const std::array<std::byte, 16>& handle, const char* name,
                            std::span<const RawValue> values, std::span<const ValueType> types,
                            bool has_result, RawDone done) = 0;
  // Finds an exported function of this type. Handle and name are set; name null when absent.
  virtual Result<const char*> find(std::string_view name, std::span<const ValueType> parameters,
                                   std::span<const ValueType> results,
                                   std::array<std::byte, 16>& handle) = 0;

  Limits limits_;
  void* user_;
  WasiHost* wasi_;
  CallCost last_;
  std::uint64_t growths_ = 0;
  std::uint32_t timed_one_in_ = 1;
  int depth_ = 0;
  bool dead_ = false;

 private:
  template <typename R, typename... Args>
  Result<GuestFunction<R(Args...)>> lookup(std::string_view name,
                                           GuestFunction<R(Args...)>* /*tag*/) {
    static constexpr std::array<ValueType, sizeof...(Args)> kParameters{value_type<Args>()...};
    GuestFunction<R(Args...)> out;
    std::span<const ValueType> results;
    if constexpr (!std::is_void_v<R>) {
      static constexpr std::array<ValueType, 1> kResult{value_type<R>()};
      results = kResult;
    }
    auto found = find(name, kParameters, results, out.handle_);
    if (!found) return std::unexpected(std::move(found.error()));
    out.name_ = *found;
    return out;
  }
};

// WASI preview 1, Heddle's deny-by-default subset, under both module names (wasi_snapshot_preview1,
// wasi_unstable).
std::span<const HostFunction> wasi_functions();

}  // namespace heddle::sandbox
