// Logging, time, timers, and what toolchains import besides the ABI. Specification v0.2.1 "Logging", "Clocks", "Timers".
#include <array>
#include <string>

#include "base/clock.h"
#include "contracts/pw/host_api.h"

namespace heddle::proxy_wasm {
namespace {

constexpr std::uint32_t kLevels = 6;  // trace to critical, as LogLevel counts them

// Allowed within the allocator: Go logs from there.
HostStatus log(Instance& instance, std::uint32_t level, GuestPtr pointer, GuestSize size) {
  Vm& vm = instance.user<Vm>();
  const auto message = text(instance, pointer, size);
  if (!message) return status(Status::kInvalidMemoryAccess);
  if (level >= kLevels) return status(Status::kBadArgument);
  vm.log().write(static_cast<LogLevel>(level), *message, vm.request_id());
  return status(Status::kOk);
}

HostStatus get_log_level(Instance& instance, GuestPtr level_out) {
  Vm& vm = vm_of(instance);
  const LogLevel level = std::min(vm.code().dependencies.log.level(), LogLevel::kCritical);
  const bool stored = instance.memory().store(level_out, static_cast<std::uint32_t>(level));
  return status(stored ? Status::kOk : Status::kInvalidMemoryAccess);
}

HostStatus get_time(Instance& instance, GuestPtr time_out) {
  const bool stored = instance.memory().store(time_out, static_cast<std::uint64_t>(wall_now()));
  return status(stored ? Status::kOk : Status::kInvalidMemoryAccess);
}

HostStatus set_tick_period(Instance& instance, std::uint32_t milliseconds) {
  vm_of(instance).set_tick(std::chrono::milliseconds(milliseconds));
  return status(Status::kOk);
}

// Imported by C++ modules that were linked without threads.
std::int32_t pthread_equal(Instance& /*instance*/, std::int32_t left, std::int32_t right) { return left == right ? 1 : 0; }

// The memory view is fetched anew for every access.
void memory_growth(Instance& /*instance*/, std::int32_t /*memory*/) {}

// AssemblyScript's abort: message and file are UTF-16 strings with their byte length before them.
std::string assembly_script_text(Instance& instance, GuestPtr pointer) {
  std::string out;
  if (pointer < 4) return out;
  const GuestMemory memory = instance.memory();
  const auto size = memory.load<std::uint32_t>(pointer - 4);
  if (!size || *size > 4096) return out;
  for (std::uint32_t at = 0; at + 1 < *size; at += 2) {
    const auto unit = memory.load<std::uint16_t>(pointer + at);
    if (!unit) break;
    out += *unit < 0x80 ? static_cast<char>(*unit) : '?';
  }
  return out;
}

void abort(Instance& instance, GuestPtr message, GuestPtr file, std::uint32_t line, std::uint32_t column) {
  instance.raise(sandbox::TrapReason::kUnreachable,
                 "abort: " + assembly_script_text(instance, message) + " at " + assembly_script_text(instance, file) +
                     ":" + std::to_string(line) + ":" + std::to_string(column));
}

constexpr std::array kTable = {
    sandbox::host_function<&log>("env", "proxy_log"),
    sandbox::host_function<&get_log_level>("env", "proxy_get_log_level"),
    sandbox::host_function<&get_time>("env", "proxy_get_current_time_nanoseconds"),
    sandbox::host_function<&set_tick_period>("env", "proxy_set_tick_period_milliseconds"),
    sandbox::host_function<&pthread_equal>("env", "pthread_equal"),
    sandbox::host_function<&memory_growth>("env", "emscripten_notify_memory_growth"),
    sandbox::host_function<&abort>("env", "abort"),
};

}  // namespace

std::span<const HostFunction> system_functions() { return kTable; }

std::vector<std::span<const HostFunction>> host_functions() {
  return {header_functions(), buffer_functions(), stream_functions(), shared_functions(),
          metric_functions(), call_functions(),   system_functions(), sandbox::wasi_functions()};
}

}  // namespace heddle::proxy_wasm
