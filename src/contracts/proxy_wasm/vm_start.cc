// How a VM begins (Proxy-Wasm specification 0.2.1, "Lifecycle"; reference/proxy-wasm.md, section
// 5).

#include <algorithm>
#include <utility>

#include "contracts/proxy_wasm/root.h"
#include "contracts/proxy_wasm/vm.h"

namespace heddle::proxy_wasm {

sandbox::Limits Version::limits() const {
  sandbox::Limits limits;
  limits.memory = spec.memory_limit;
  limits.timeout = spec.timeout;
  limits.host_calls = spec.host_calls;
  return limits;
}

sandbox::Limits Version::start_limits() const {
  constexpr std::chrono::seconds kStartTimeout{1};
  sandbox::Limits limits = this->limits();
  limits.timeout = std::max<std::chrono::nanoseconds>(limits.timeout, kStartTimeout);
  return limits;
}

std::string trap_text(const sandbox::Trap& trap) {
  std::string text = sandbox::to_string(trap);
  if (!trap.backtrace.empty()) {
    text += "; in " + trap.backtrace.substr(0, trap.backtrace.find('\n'));
  }
  std::ranges::replace(text, '\n', ' ');
  return text;
}

Error Vm::start_failed(const sandbox::Trap& trap, Root& root) {
  root.stats().trap(trap, trap_text(trap));
  tell_failure(root);
  return {ErrorKind::kTrap, "failed in " + trap_text(trap)};
}

Result<void> Vm::start(Root& first) {
  auto made = sandbox::Instance::create(version_->linked, version_->start_limits(), this, this);
  if (!made) {
    failed_ = true;
    if (made.error().kind == ErrorKind::kLimit) first.stats().limit_hit(Limit::kInstances);
    return std::unexpected(std::move(made.error()));
  }
  instance_ = std::move(*made);
  running_ = instance_.get();
  memory_bytes_ = instance_->memory_bytes();
  first.stats().memory(static_cast<std::int64_t>(memory_bytes_));
  if (auto bound = callbacks_.bind(*instance_, version_->traits.callbacks); !bound) return bound;
  // A module may have none of them.
  if (!callbacks_.initialize) return run_start(first, callbacks_.start);
  if (auto ran = run_start(first, callbacks_.initialize); !ran) return ran;
  return callbacks_.main ? run_start(first, callbacks_.main, 0, 0)
                         : run_start(first, callbacks_.main_void);
}

// proc_exit(0) ends a start function well: what Go's and AssemblyScript's commands do.
template <typename R, typename... Args>
Result<void> Vm::run_start(Root& first, const sandbox::GuestFunction<R(Args...)>& function,
                           std::type_identity_t<Args>... args) {
  if (!function) return {};
  const auto result = call_to_start(Callback::kStart, first, function, args...);
  if (result) return {};
  const sandbox::Trap& trap = result.error();
  if (trap.reason == sandbox::TrapReason::kExit && trap.exit_code == 0) return {};
  return std::unexpected(start_failed(trap, first));
}

}  // namespace heddle::proxy_wasm
