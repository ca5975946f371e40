#include "contracts/proxy_wasm/vm.h"

#include <algorithm>
#include <cstring>

#include "contracts/proxy_wasm/root.h"
#include "net/worker.h"

namespace heddle::proxy_wasm {

using sandbox::GuestPtr;

namespace {
constexpr std::uint32_t kTokenStep = 4;
// Two readings of the clock cost as much as an empty callback: the first kAllTimed of a VM are
// timed, then one in kOneIn, which is no multiple of the callbacks of any usual exchange.
constexpr std::uint32_t kAllTimed = 1'000;
constexpr std::uint32_t kOneIn = 17;
}  // namespace

Vm::Vm(std::shared_ptr<Version> version, net::Worker* worker)
    : version_(std::move(version)), worker_(worker) {
  environment = version_->spec.environment;
}

Vm::~Vm() = default;

bool Vm::has_root_with(const PluginStats& stats) const {
  return std::ranges::any_of(roots_, [&](const Root* root) { return &root->stats() == &stats; });
}

template <typename Visit>
void Vm::each_stats(Visit visit) const {
  for (std::size_t i = 0; i < roots_.size(); ++i) {
    PluginStats& stats = roots_[i]->stats();
    const bool seen = std::any_of(roots_.begin(), roots_.begin() + static_cast<std::ptrdiff_t>(i),
                                  [&](const Root* root) { return &root->stats() == &stats; });
    if (!seen) visit(stats);
  }
}

void Vm::add(Root& root) {
  root.id = next_id_++;
  contexts_.insert(root);
  if (!has_root_with(root.stats())) {
    root.stats().instances(1);
    root.stats().memory(static_cast<std::int64_t>(memory_bytes_));
  }
  roots_.push_back(&root);
  memory_limit_ = std::max(memory_limit_, root.spec().memory_limit);
}

void Vm::remove(Root& root) {
  if (root.id == 0) return;
  contexts_.remove(root);
  std::erase(roots_, &root);
  if (limits_of_ == &root.version()) limits_of_ = nullptr;
  if (has_root_with(root.stats())) return;
  root.stats().instances(-1);
  root.stats().memory(-static_cast<std::int64_t>(memory_bytes_));
}

bool Vm::open(Context& context, Root& root) {
  if (!root.alive()) return false;
  context.id = next_id_++;
  context.root = &root;
  contexts_.insert(context);
  root.stats().exchange();
  if (!callbacks_.context_create) return true;
  return call(Callback::kContextCreate, context, callbacks_.context_create, context.id, root.id);
}

void Vm::close(Context& context, bool with_log) {
  if (callbacks_.done) call(Callback::kDone, context, callbacks_.done, context.id);
  if (with_log && callbacks_.log) call(Callback::kLog, context, callbacks_.log, context.id);
  if (callbacks_.del) call(Callback::kDelete, context, callbacks_.del, context.id);
  contexts_.remove(context);
}

bool Vm::enter(Context& context) {
  if (failed_ || context.root->gone()) return false;
  assert(current_ == nullptr && "guest calls do not nest");
  current_ = &context;
  effective_ = nullptr;
  context.replied = false;
  const Version& version = context.root->version();
  if (limits_of_ != &version) [[unlikely]] {
    apply(version.limits());
    limits_of_ = &version;
  }
  return true;
}

void Vm::enter_to_start(Root& root) {
  assert(current_ == nullptr && "guest calls do not nest");
  current_ = &root;
  effective_ = nullptr;
  apply(root.version().start_limits());
  limits_of_ = nullptr;
}

// Memory belongs to all of the VM's plugins; time and host calls to the one that runs.
void Vm::apply(sandbox::Limits limits) {
  limits.memory = memory_limit_;
  instance_->set_limits(limits);
}

void Vm::account(Callback callback, const Root& root) {
  PluginStats& stats = root.stats();
  stats.call(callback);
  if (instance_->last_cost().stands_for > 0) account_times(stats);
  if (instance_->growths() != growths_) [[unlikely]]
    account_memory(stats);
}

void Vm::account_times(PluginStats& stats) {
  const sandbox::CallCost& cost = instance_->last_cost();
  stats.duration(cost.wall.count(), cost.stands_for);
  stats.cpu(static_cast<std::uint64_t>(cost.cpu.count()) * cost.stands_for);
  if (all_timed_ < kAllTimed) {
    ++all_timed_;
    if (all_timed_ == kAllTimed) instance_->time_one_in(kOneIn);
  }
}

void Vm::account_memory(PluginStats& stats) {
  growths_ = instance_->growths();
  if (instance_->last_cost().denied_memory) stats.limit_hit(Limit::kMemory);
  const std::size_t memory = instance_->memory_bytes();
  const auto grown = static_cast<std::int64_t>(memory) - static_cast<std::int64_t>(memory_bytes_);
  each_stats([grown](PluginStats& each) { each.memory(grown); });
  memory_bytes_ = memory;
}

void Vm::fail(const sandbox::Trap& trap, Context& context) {
  const Root& culprit = *context.root;
  // Known SDKs abort in the root context's on_done: where nothing depends on it any more, it is no
  // error.
  const bool harmless = std::ranges::all_of(roots_, &Root::dismantling);
  culprit.log().trap(harmless ? LogLevel::kInfo : LogLevel::kError, trap, context.request_id());
  if (!harmless) culprit.stats().trap(trap, trap_text(trap));
  tell_failure(culprit);
}

void Vm::tell_failure(const Root& culprit) {
  failed_ = true;
  contexts_.visit([](Context& each) {
    if (&each != each.root) each.on_vm_failed();
  });
  const std::vector<Root*> roots = roots_;  // an owner lets go of its root, though not at once
  for (Root* root : roots) {
    if (&root->stats() != &culprit.stats()) {
      const std::string text =
          "the VM that it shares with plugin " + culprit.spec().name + " failed in that plugin";
      root->log().write(LogLevel::kError, text);
      root->stats().error("shared_vm", text);
    }
    root->on_vm_failed();
  }
}

Root& Vm::root() {
  return current_ != nullptr ? *context().root : *roots_.front();
}

Version& Vm::version() {
  return current_ != nullptr ? context().root->version() : *version_;
}

std::string_view Vm::request_id() {
  return current_ != nullptr ? context().request_id() : std::string_view();
}

bool Vm::set_effective_context(std::uint32_t id) {
  Context* found = contexts_.find(id);
  if (found == nullptr) return false;
  effective_ = found;
  return true;
}

void Vm::use_token(TokenKind kind) {
  tokens_.at(static_cast<std::size_t>(kind)) += kTokenStep;
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
  const std::string& plugin = spec().name;
  const auto key = std::pair(plugin, std::string(name));
  if (const auto known = metric_ids_.find(key); known != metric_ids_.end()) {
    if (metrics_[known->second]->type == type) return known->second;
  }
  auto metric = version().services.plugin_metrics.define(plugin, type, name);
  if (!metric) return std::unexpected(std::move(metric.error()));
  const auto id = static_cast<std::uint32_t>(metrics_.size());
  metrics_.push_back(std::move(*metric));
  metric_ids_.insert_or_assign(key, id);
  return id;
}

void Vm::warn_once(std::string_view what) {
  if (!std::exchange(warned_, true)) log().write(LogLevel::kWarn, what, request_id());
}

void Vm::write(sandbox::Instance& /*instance*/, int fd, std::string_view bytes) {
  log().guest_line(fd == 2 ? LogLevel::kError : LogLevel::kInfo, bytes, request_id());
}

}  // namespace heddle::proxy_wasm
