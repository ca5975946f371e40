#include "contracts/proxy_wasm/root.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "net/worker.h"

namespace heddle::proxy_wasm {

void Farewells::keep(std::shared_ptr<Root> root) {
  const std::lock_guard lock(mutex_);
  roots_.push_back(std::move(root));
}

std::shared_ptr<Root> Farewells::take(const Root& root) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(roots_, &root, &std::shared_ptr<Root>::get);
  if (found == roots_.end()) return nullptr;
  auto out = std::move(*found);
  roots_.erase(found);
  return out;
}

void Farewells::clear() {
  std::vector<std::shared_ptr<Root>> gone;
  const std::lock_guard lock(mutex_);
  gone.swap(roots_);
}

Root::Root(std::shared_ptr<Vm> vm, std::shared_ptr<Version> version)
    : vm_(std::move(vm)), version_(std::move(version)) {
  root = this;
  vm_->add(*this);
}

Root::~Root() {
  vm_->remove(*this);
}

Result<std::shared_ptr<Root>> Root::create(std::shared_ptr<Version> version, net::Worker* worker,
                                           Owner* owner) {
  auto vm = std::make_shared<Vm>(version, worker);
  auto root = std::make_shared<Root>(std::move(vm), std::move(version));
  if (auto started = root->vm().start(*root); !started) {
    return std::unexpected(std::move(started.error()));
  }
  if (auto started = root->start(); !started) return std::unexpected(std::move(started.error()));
  root->owner_ = owner;
  return root;
}

Result<std::shared_ptr<Root>> Root::join(std::shared_ptr<Vm> vm, std::shared_ptr<Version> version,
                                         Owner* owner) {
  auto root = std::make_shared<Root>(std::move(vm), std::move(version));
  if (auto started = root->start(); !started) return std::unexpected(std::move(started.error()));
  root->owner_ = owner;
  return root;
}

Error Root::refused(Callback callback) const {
  return {
      ErrorKind::kInvalidArgument,
      fmt::format(
          "refused to start: {} returned false; its log lines say why, `{}:` is what it was given",
          export_name(callback), callback == Callback::kVmStart ? "vm_config" : "config")};
}

template <typename R, typename... Args>
Result<void> Root::run(Callback callback, const sandbox::GuestFunction<R(Args...)>& function,
                       std::type_identity_t<Args>... args) {
  if (!function) return {};
  const auto result = vm_->call_to_start(callback, *this, function, args...);
  if (!result) return std::unexpected(vm_->start_failed(result.error(), *this));
  if constexpr (!std::is_void_v<R>) {
    if (*result == 0) {
      stats().error("refused", refused(callback).message);
      return std::unexpected(refused(callback));
    }
  }
  return {};
}

Result<void> Root::start() {
  const Callbacks& callbacks = vm_->callbacks();
  const auto vm_size = static_cast<std::uint32_t>(spec().vm_configuration.size());
  const auto size =
      static_cast<std::uint32_t>(spec().configuration ? spec().configuration->size() : 0);
  configuring_ = true;
  auto result = run(Callback::kContextCreate, callbacks.context_create, id, kRootParent);
  if (result) result = run(Callback::kVmStart, callbacks.vm_start, id, vm_size);
  if (result) result = run(Callback::kConfigure, callbacks.configure, id, size);
  configuring_ = false;
  if (!result) {
    quieten();
    gone_ = true;
  }
  return result;
}

void Root::quieten() {
  tick_timer_.cancel();
  calls_.clear();
  grpc_.clear();
  queue_listener_.reset();
}

void Root::on_vm_failed() {
  quieten();
  if (owner_ != nullptr) owner_->on_root_failed(*this);
}

void Root::dismantle(bool wait) {
  owner_ = nullptr;
  dismantling_ = true;
  if (!alive()) return;
  std::uint32_t done = 1;
  const Callbacks& callbacks = vm_->callbacks();
  if (callbacks.done) {
    waits_for_done_ = true;  // it may call proxy_done from within
    done = vm_->call(Callback::kDone, *this, callbacks.done, id).value_or(1);
  }
  if (done != 0 || !waits_for_done_ || !wait) {
    waits_for_done_ = false;
    finish_farewell();
    return;
  }
  version_->farewells->keep(shared_from_this());
  farewell_timer_.arm(worker()->timers(), kFarewell, [this] {
    if (!waits_for_done_) return;
    log().write(LogLevel::kWarn,
                "the plugin did not call proxy_done in time; it is removed all the same");
    waits_for_done_ = false;
    worker()->defer([self = version_->farewells->take(*this)] { self->finish_farewell(); });
  });
}

void Root::proxy_done() {
  if (!std::exchange(waits_for_done_, false)) return;
  // Not kept yet: the guest calls from within on_done, and dismantle() goes on by itself.
  if (auto self = version_->farewells->take(*this)) {
    worker()->defer([self = std::move(self)] { self->finish_farewell(); });
  }
}

void Root::finish_farewell() {
  farewell_timer_.cancel();
  if (vm_->callbacks().del) vm_->call(Callback::kDelete, *this, vm_->callbacks().del, id);
  quieten();
  gone_ = true;  // nothing is called any more
}

}  // namespace heddle::proxy_wasm
