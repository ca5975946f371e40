#include "contracts/proxy_wasm/vm.h"

#include <cstring>
#include <utility>

#include "net/worker.h"

namespace heddle::proxy_wasm {

using sandbox::GuestPtr;

Vm::Vm(std::shared_ptr<Version> version, net::Worker* worker)
    : version_(std::move(version)), worker_(worker) {
  environment = version_->spec.environment;
}

Vm::~Vm() {
  if (instance_ == nullptr) return;
  stats().instances(-1);
  stats().memory(-static_cast<std::int64_t>(memory_bytes_));
}

bool Vm::open(Context& context) {
  if (failed_) return false;
  context.id = next_id_++;
  contexts_.insert(context);
  stats().exchange();
  if (!callbacks_.context_create) return true;
  return call(Callback::kContextCreate, context, callbacks_.context_create, context.id, root_.id);
}

void Vm::close(Context& context, bool with_log) {
  if (!failed_ && callbacks_.done) call(Callback::kDone, context, callbacks_.done, context.id);
  if (with_log && !failed_ && callbacks_.log)
    call(Callback::kLog, context, callbacks_.log, context.id);
  if (!failed_ && callbacks_.del) call(Callback::kDelete, context, callbacks_.del, context.id);
  contexts_.remove(context);
}

void Vm::account(Callback callback) {
  const sandbox::CallCost& cost = instance_->last_cost();
  PluginStats& stats = version_->stats;
  stats.call(callback, cost.wall);
  cpu_nanoseconds_ += cost.cpu.count();
  if (cpu_nanoseconds_ >= 1000) {
    stats.cpu(static_cast<std::uint64_t>(cpu_nanoseconds_ / 1000));
    cpu_nanoseconds_ %= 1000;
  }
  // Denied memory is counted here, as a guest may live with it and not trap.
  if (instance_->denied_growths() != denied_growths_) [[unlikely]] {
    denied_growths_ = instance_->denied_growths();
    stats.limit_hit(Limit::kMemory);
  }
  const std::size_t memory = instance_->memory_bytes();
  if (memory != memory_bytes_) [[unlikely]] {
    stats.memory(static_cast<std::int64_t>(memory) - static_cast<std::int64_t>(memory_bytes_));
    memory_bytes_ = memory;
  }
}

void Vm::fail(const sandbox::Trap& trap, Context& context) {
  failed_ = true;
  // Known SDKs abort in the root context's on_done: nothing depends on it any more, so it is no
  // error.
  log().trap(dismantling_ ? LogLevel::kInfo : LogLevel::kError, trap, context.request_id());
  if (!dismantling_) stats().trap(trap, trap_text(trap));
  tick_timer_.cancel();
  calls_.clear();
  grpc_.clear();
  queue_listener_.reset();
  contexts_.visit([](Context& each) { each.on_vm_failed(); });
  if (owner_ != nullptr) owner_->on_vm_failed(*this);
}

std::string_view Vm::request_id() {
  return current_ != nullptr ? context().request_id() : std::string_view();
}

bool Vm::set_effective_context(std::uint32_t id) {
  Context* found = id == root_.id ? &root_ : contexts_.find(id);
  if (found == nullptr) return false;
  effective_ = found;
  return true;
}

Status Vm::allocate(std::size_t size, GuestPtr data_out, GuestPtr size_out, char*& bytes) {
  sandbox::GuestMemory memory = instance_->memory();
  if (!memory.view(data_out, sizeof(GuestPtr)) || !memory.view(size_out, sizeof(GuestPtr))) {
    return Status::kInvalidMemoryAccess;
  }
  if (size == 0) {
    memory.store(data_out, GuestPtr{0});
    memory.store(size_out, GuestPtr{0});
    return Status::kOk;
  }
  if (size > UINT32_MAX) return Status::kInternalFailure;
  const auto length = static_cast<std::uint32_t>(size);
  allocating_ = true;
  const auto address = instance_->call(callbacks_.allocate, length);
  allocating_ = false;
  if (!address) return Status::kInternalFailure;  // the guest ends when control is back in it
  memory = instance_->memory();                   // it may have grown
  const auto place = memory.span(*address, length);
  if (*address == 0 || !place) return Status::kInvalidMemoryAccess;
  memory.store(data_out, *address);
  memory.store(size_out, length);
  bytes = place->data();
  return Status::kOk;
}

Status Vm::give(std::string_view bytes, GuestPtr data_out, GuestPtr size_out) {
  return give(bytes.size(), data_out, size_out,
              [bytes](char* out) { std::memcpy(out, bytes.data(), bytes.size()); });
}

Result<std::uint32_t> Vm::define_metric(services::PluginMetricType type, std::string_view name) {
  if (const auto known = metric_ids_.find(name); known != metric_ids_.end()) {
    if (metrics_[known->second]->type == type) return known->second;
  }
  auto metric = version_->services.plugin_metrics.define(spec().name, type, name);
  if (!metric) return std::unexpected(std::move(metric.error()));
  const auto id = static_cast<std::uint32_t>(metrics_.size());
  metrics_.push_back(std::move(*metric));
  metric_ids_.insert_or_assign(std::string(name), id);
  return id;
}

void Vm::warn_once(std::string_view what) {
  if (!std::exchange(warned_, true)) log().write(LogLevel::kWarn, what, request_id());
}

void Vm::write(int fd, std::string_view bytes) {
  log().guest_line(fd == 2 ? LogLevel::kError : LogLevel::kInfo, bytes, request_id());
}

}  // namespace heddle::proxy_wasm
