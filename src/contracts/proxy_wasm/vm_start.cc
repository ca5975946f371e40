// How a VM begins and ends (Proxy-Wasm specification 0.2.1, "Lifecycle"; reference/proxy-wasm.md,
// sections 5 and 6).
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "contracts/proxy_wasm/vm.h"
#include "net/worker.h"

namespace heddle::proxy_wasm {

void Farewells::keep(std::shared_ptr<Vm> vm) {
  const std::lock_guard lock(mutex_);
  vms_.push_back(std::move(vm));
}

std::shared_ptr<Vm> Farewells::take(const Vm& vm) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(vms_, &vm, &std::shared_ptr<Vm>::get);
  if (found == vms_.end()) return nullptr;
  auto out = std::move(*found);
  vms_.erase(found);
  return out;
}

void Farewells::clear() {
  std::vector<std::shared_ptr<Vm>> gone;
  const std::lock_guard lock(mutex_);
  gone.swap(vms_);
}

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
  std::string text =
      fmt::format("{}: {} ({})", trap.function, trap.message, sandbox::to_string(trap.reason));
  if (!trap.backtrace.empty()) {
    text += "; in " + trap.backtrace.substr(0, trap.backtrace.find('\n'));
  }
  std::ranges::replace(text, '\n', ' ');
  return text;
}

Result<std::shared_ptr<Vm>> Vm::create(std::shared_ptr<Version> version, net::Worker* worker,
                                       Owner* owner) {
  auto vm = std::make_shared<Vm>(std::move(version), worker);
  if (auto started = vm->start(); !started) return std::unexpected(std::move(started.error()));
  vm->owner_ = owner;
  return vm;
}

Result<void> Vm::start() {
  auto made = sandbox::Instance::create(version_->linked, version_->start_limits(), this, this);
  if (!made) {
    if (made.error().kind == ErrorKind::kLimit) stats().limit_hit(Limit::kInstances);
    return std::unexpected(std::move(made.error()));
  }
  instance_ = std::move(*made);
  stats().instances(1);
  memory_bytes_ = instance_->memory_bytes();
  stats().memory(static_cast<std::int64_t>(memory_bytes_));
  if (auto bound = callbacks_.bind(*instance_); !bound) return bound;
  if (auto ran = run_start_functions(); !ran) return ran;
  if (auto ready = start_root(); !ready) return ready;
  instance_->set_limits(version_->limits());
  return {};
}

Error Vm::start_error(const sandbox::Trap& trap) const {
  return {ErrorKind::kTrap, "failed in " + trap_text(trap)};
}

// proc_exit(0) ends a start function well: what Go's and AssemblyScript's commands do.
template <typename Function, typename... Args>
Result<void> Vm::run_start(const Function& function, Args... args) {
  current_ = &root_;
  auto result = instance_->call(function, args...);
  leave(Callback::kStart);
  if (result) return {};
  const sandbox::Trap& trap = result.error();
  if (trap.reason == sandbox::TrapReason::kExit && trap.exit_code == 0) return {};
  stats().trap(trap, trap_text(trap));
  return std::unexpected(start_error(trap));
}

// A module may have none of them.
Result<void> Vm::run_start_functions() {
  if (!callbacks_.initialize) {
    return callbacks_.start ? run_start(callbacks_.start) : Result<void>();
  }
  if (auto ran = run_start(callbacks_.initialize); !ran) return ran;
  if (callbacks_.main) return run_start(callbacks_.main, 0, 0);
  if (callbacks_.main_void) return run_start(callbacks_.main_void);
  return {};
}

Error Vm::refused(Callback callback) const {
  return {
      ErrorKind::kInvalidArgument,
      fmt::format(
          "refused to start: {} returned false; its log lines say why, `{}:` is what it was given",
          export_name(callback), callback == Callback::kVmStart ? "vm_config" : "config")};
}

// 1 for a callback that the module lacks, or that returns nothing.
template <typename R, typename... Args>
Result<std::uint32_t> Vm::run_root(Callback callback,
                                   const sandbox::GuestFunction<R(Args...)>& function,
                                   std::type_identity_t<Args>... args) {
  if (!function) return 1U;
  current_ = &root_;
  auto result = instance_->call(function, args...);
  leave(callback);
  if (!result) {
    stats().trap(result.error(), trap_text(result.error()));
    return std::unexpected(start_error(result.error()));
  }
  if constexpr (std::is_void_v<R>) {
    return 1U;
  } else {
    if (*result != 0) return *result;
    stats().error("refused", refused(callback).message);
    return std::unexpected(refused(callback));
  }
}

Result<void> Vm::start_root() {
  root_.id = next_id_++;
  const auto vm_size = static_cast<std::uint32_t>(spec().vm_configuration.size());
  const auto size =
      static_cast<std::uint32_t>(spec().configuration ? spec().configuration->size() : 0);
  configuring_ = true;
  auto result =
      run_root(Callback::kContextCreate, callbacks_.context_create, root_.id, kRootParent);
  if (result) result = run_root(Callback::kVmStart, callbacks_.vm_start, root_.id, vm_size);
  if (result) result = run_root(Callback::kConfigure, callbacks_.configure, root_.id, size);
  configuring_ = false;
  if (!result) return std::unexpected(std::move(result.error()));
  return {};
}

void Vm::dismantle(bool wait) {
  owner_ = nullptr;
  dismantling_ = true;
  if (failed_) return;
  std::uint32_t done = 1;
  if (callbacks_.done) {
    waits_for_done_ = true;  // it may call proxy_done from within
    done = call(Callback::kDone, root_, callbacks_.done, root_.id).value_or(1);
  }
  if (done != 0 || !waits_for_done_ || !wait) {
    waits_for_done_ = false;
    finish_farewell();
    return;
  }
  version_->farewells->keep(shared_from_this());
  farewell_timer_.arm(worker_->timers(), kFarewell, [this] {
    if (!waits_for_done_) return;
    log().write(LogLevel::kWarn,
                "the plugin did not call proxy_done in time; it is removed all the same");
    waits_for_done_ = false;
    worker_->defer([self = version_->farewells->take(*this)] { self->finish_farewell(); });
  });
}

void Vm::proxy_done() {
  if (!std::exchange(waits_for_done_, false)) return;
  // Not kept yet: the guest calls from within on_done, and dismantle() goes on by itself.
  if (auto self = version_->farewells->take(*this)) {
    worker_->defer([self = std::move(self)] { self->finish_farewell(); });
  }
}

void Vm::finish_farewell() {
  farewell_timer_.cancel();
  if (!failed_ && callbacks_.del) call(Callback::kDelete, root_, callbacks_.del, root_.id);
  tick_timer_.cancel();
  calls_.clear();
  grpc_.clear();
  queue_listener_.reset();
  failed_ = true;  // nothing is called any more
}

}  // namespace heddle::proxy_wasm
