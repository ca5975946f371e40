// Log, time, timer (Proxy-Wasm specification 0.2.1), and what language runtimes import beside it.
#include <algorithm>
#include <array>
#include <chrono>
#include <string>

#include "base/clock.h"
#include "contracts/proxy_wasm/host_call.h"

namespace heddle::proxy_wasm {
namespace {

Status log(Vm& vm, std::uint32_t level, GuestPtr text, GuestSize size) {
  if (level > kMaxLogLevel) return Status::kBadArgument;
  const auto line = vm.instance().memory().view(text, size);
  if (!line) return Status::kInvalidMemoryAccess;
  vm.log().guest_line(static_cast<LogLevel>(level), *line, vm.request_id());
  return Status::kOk;
}

Status get_log_level(Vm& vm, GuestPtr level_out) {
  const auto level = std::min(static_cast<std::uint32_t>(vm.log().level()), kMaxLogLevel);
  return vm.instance().memory().store(level_out, level) ? Status::kOk
                                                        : Status::kInvalidMemoryAccess;
}

Status get_time(Vm& vm, GuestPtr time_out) {
  const auto now = static_cast<std::uint64_t>(wall_now());
  return vm.instance().memory().store(time_out, now) ? Status::kOk : Status::kInvalidMemoryAccess;
}

Status set_tick_period(Vm& vm, std::uint32_t milliseconds) {
  vm.root().set_tick_period(std::chrono::milliseconds(milliseconds));
  return Status::kOk;
}

// A string of AssemblyScript: UTF-16, its size in bytes before it.
std::string assemblyscript_text(const GuestMemory& memory, GuestPtr at) {
  constexpr std::uint32_t kMaxBytes = 1000;
  const auto size = at >= 4 ? memory.load<std::uint32_t>(at - 4) : std::nullopt;
  const auto bytes = size ? memory.view(at, std::min(*size, kMaxBytes)) : std::nullopt;
  std::string out;
  for (std::size_t i = 0; bytes && i + 1 < bytes->size(); i += 2) {
    out += (*bytes)[i + 1] == 0 && (*bytes)[i] >= ' ' ? (*bytes)[i] : '?';
  }
  return out;
}

// What AssemblyScript calls before it gives up.
void abort(Instance& instance, GuestPtr message, GuestPtr file, std::uint32_t line,
           std::uint32_t column) {
  const GuestMemory memory = instance.memory();
  instance.raise(sandbox::TrapReason::kUnreachable,
                 "abort: " + assemblyscript_text(memory, message) + " at " +
                     assemblyscript_text(memory, file) + ":" + std::to_string(line) + ":" +
                     std::to_string(column));
}

std::int32_t pthread_equal(Instance& /*instance*/, std::uint32_t a, std::uint32_t b) {
  return a == b ? 1 : 0;
}
void memory_growth(Instance& /*instance*/, std::uint32_t /*index*/) {
}  // the sandbox sees it by itself

constexpr std::array kTable = {
    host_call_while_allocating<&log>("proxy_log"),
    host_call<&get_log_level>("proxy_get_log_level"),
    host_call<&get_time>("proxy_get_current_time_nanoseconds"),
    host_call<&set_tick_period>("proxy_set_tick_period_milliseconds"),
    sandbox::host_function<&abort>("env", "abort"),
    sandbox::host_function<&pthread_equal>("env", "pthread_equal"),
    sandbox::host_function<&memory_growth>("env", "emscripten_notify_memory_growth"),
};

}  // namespace

std::span<const HostFunction> runtime_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
