#include "contracts/pw/vm.h"

#include "contracts/pw/http_context.h"
#include "net/worker.h"

namespace heddle::proxy_wasm {

using sandbox::Trap;
using sandbox::TrapReason;

Vm::Vm(std::shared_ptr<const PluginCode> code, net::Worker* worker)
    : code_(std::move(code)), worker_(worker), log_(*code_) {
  environment = code_->spec.environment;
}

Vm::~Vm() {
  if (worker_ != nullptr && instance_) {
    code_->metrics.memory->add(-accounted_memory_);
    code_->metrics.instances->add(-1);
  }
}

Result<std::shared_ptr<Vm>> Vm::start(std::shared_ptr<const PluginCode> code, net::Worker* worker) {
  std::shared_ptr<Vm> vm(new Vm(std::move(code), worker));
  for (const auto step : {&Vm::instantiate, &Vm::find_functions, &Vm::run_start, &Vm::run_configuration}) {
    if (auto result = (vm.get()->*step)(); !result) {
      vm->failed_ = true;
      return std::unexpected(std::move(result.error()));
    }
  }
  return vm;
}

Result<void> Vm::instantiate() {
  auto instance = sandbox::Instance::create(code_->linked, code_->limits, this, this);
  if (!instance) return std::unexpected(std::move(instance.error()));
  instance_ = std::move(*instance);
  if (worker_ != nullptr) code_->metrics.instances->add(1);
  account_memory();
  return {};
}

Result<void> Vm::find_functions() {
  Functions& f = functions_;
  Result<void> out;
  const auto find = [&]<typename Signature>(std::string_view name, Function<Signature>& into) {
    if (!out) return;
    auto found = instance_->function<Signature>(name);
    if (found) {
      into = *found;
    } else {
      out = std::unexpected(std::move(found.error()));
    }
  };
  find(code_->facts.allocator, f.allocate);
  find("proxy_on_context_create", f.context_create);
  find("proxy_on_vm_start", f.vm_start);
  find("proxy_on_configure", f.configure);
  find("proxy_on_tick", f.tick);
  find("proxy_on_done", f.done);
  find("proxy_on_log", f.log);
  find("proxy_on_delete", f.remove);
  if (code_->facts.request_headers_eos) {
    find("proxy_on_request_headers", f.request_headers);
  } else {
    find("proxy_on_request_headers", f.request_headers_0_1);
  }
  find("proxy_on_request_body", f.request_body);
  find("proxy_on_request_trailers", f.request_trailers);
  if (code_->facts.response_headers_eos) {
    find("proxy_on_response_headers", f.response_headers);
  } else {
    find("proxy_on_response_headers", f.response_headers_0_1);
  }
  find("proxy_on_response_body", f.response_body);
  find("proxy_on_response_trailers", f.response_trailers);
  find("proxy_on_http_call_response", f.http_call_response);
  find("proxy_on_queue_ready", f.queue_ready);
  return out;
}

// _initialize and then main, or _start; a module may have neither. Leaving with code 0 is success.
Result<void> Vm::run_start() {
  const auto run = [&](std::string_view name) -> Result<bool> {
    if (code_->linked->module().find_export(name) == nullptr) return false;
    bool ended = false;
    const auto judge = [&](const auto& result) -> Result<bool> {
      if (result) return true;
      if (result.error().reason == TrapReason::kExit && result.error().exit_code == 0) return true;
      fail(Callback::kStart, result.error());
      ended = true;
      return std::unexpected(trap_error(name).error());
    };
    const Entry entry(*this, Callback::kStart, nullptr);
    if (name == "main") {
      auto function = instance_->function<std::int32_t(std::int32_t, std::int32_t)>(name);
      if (!function) return false;  // not C's main
      return judge(instance_->call(*function, 0, 0));
    }
    if (name == "__main_void") {
      auto function = instance_->function<std::int32_t()>(name);
      if (!function) return false;
      return judge(instance_->call(*function));
    }
    auto function = instance_->function<void()>(name);
    if (!function) return std::unexpected(std::move(function.error()));
    return judge(instance_->call(*function));
  };
  auto initialised = run("_initialize");
  if (!initialised) return std::unexpected(std::move(initialised.error()));
  if (!*initialised) {
    auto started = run("_start");
    return started ? Result<void>{} : std::unexpected(std::move(started.error()));
  }
  for (const std::string_view name : {"main", "__main_void"}) {
    auto ran = run(name);
    if (!ran) return std::unexpected(std::move(ran.error()));
    if (*ran) break;
  }
  return {};
}

Result<void> Vm::run_configuration() {
  const extension::PluginSpec& spec = code_->spec;
  if (functions_.context_create &&
      !call(Callback::kContextCreate, functions_.context_create, nullptr, kRootContext, 0)) {
    return trap_error("proxy_on_context_create");
  }
  const auto run = [&](Callback callback, const auto& function, std::size_t size, std::string_view name) -> Result<void> {
    if (!function) return {};
    const auto result = call(callback, function, nullptr, kRootContext, static_cast<std::uint32_t>(size));
    if (!result) return trap_error(name);
    if (*result == 0) {
      return heddle::fail(ErrorKind::kInvalidArgument,
                          std::string(name) + " returned false: the plugin does not accept its configuration "
                          "(`config:` of the entry; the plugin's own log lines may say more)");
    }
    return {};
  };
  if (auto result = run(Callback::kVmStart, functions_.vm_start, spec.vm_configuration.size(), "proxy_on_vm_start"); !result) {
    return result;
  }
  return run(Callback::kConfigure, functions_.configure, spec.configuration ? spec.configuration->size() : 0, "proxy_on_configure");
}

Result<void> Vm::trap_error(std::string_view what) {
  return heddle::fail(ErrorKind::kTrap, std::string(what) + " failed: " + trap_text_);
}

Vm::Entry::Entry(Vm& vm, Callback callback, HttpContext* stream)
    : vm_(vm),
      callback_(callback),
      previous_(vm.effective_),
      previous_callback_(vm.running_),
      outermost_(vm.instance_->depth() == 0) {
  vm.effective_ = stream;
  vm.running_ = callback;
}

Vm::Entry::~Entry() {
  vm_.effective_ = previous_;
  vm_.running_ = previous_callback_;
  if (!outermost_) return;
  const PluginMetricHandles& metrics = vm_.code_->metrics;
  const sandbox::CallCost& cost = vm_.instance_->last_cost();
  metrics.calls[static_cast<std::size_t>(callback_)]->add();
  metrics.duration->observe(static_cast<std::uint64_t>(cost.wall.count()));
  vm_.spent_nanoseconds_ += cost.cpu.count();
  if (vm_.spent_nanoseconds_ >= 100'000) {
    metrics.cpu_microseconds->add(static_cast<std::uint64_t>(vm_.spent_nanoseconds_ / 1000));
    vm_.spent_nanoseconds_ %= 1000;
    vm_.account_memory();
  }
}

void Vm::account_memory() {
  if (worker_ == nullptr) return;
  const auto bytes = static_cast<std::int64_t>(instance_->memory_bytes());
  if (bytes == accounted_memory_) return;
  code_->metrics.memory->add(bytes - accounted_memory_);
  accounted_memory_ = bytes;
}

void Vm::fail(Callback callback, const Trap& trap) {
  trap_text_ = trap.message;
  if (failed_) return;
  failed_ = true;
  const std::string_view reason = to_string(trap.reason);
  code_->count_error(reason);
  switch (trap.reason) {
    case TrapReason::kTimeout: code_->count_limit("timeout"); break;
    case TrapReason::kMemoryLimit: code_->count_limit("memory_limit"); break;
    case TrapReason::kHostCallLimit: code_->count_limit("host_calls"); break;
    case TrapReason::kStackOverflow: code_->count_limit("stack"); break;
    case TrapReason::kTableLimit: code_->count_limit("table_elements"); break;
    default: break;
  }
  code_->remember_error(std::string(to_string(callback)) + ": " + trap.message);
  code_->dependencies.log.error("plugin failed", {{"plugin", code_->spec.name},
                                                  {"version", code_->spec.version},
                                                  {"callback", to_string(callback)},
                                                  {"reason", reason},
                                                  {"error", trap.message},
                                                  {"backtrace", trap.backtrace},
                                                  {"request_id", request_id()}});
  tick_.cancel();
  tick_period_ = {};
  // Pending calls have nobody to answer to any more. Not now: this may be one of their callbacks.
  if (worker_ != nullptr) {
    worker_->defer([self = shared_from_this()] { self->calls_.clear(); });
  }
}

std::string_view Vm::request_id() const {
  return effective_ != nullptr ? std::string_view(effective_->host().info().request_id) : std::string_view{};
}

Vm::Context Vm::add(HttpContext& stream) {
  while (streams_.contains(next_context_) || next_context_ <= kRootContext) ++next_context_;
  streams_.emplace(next_context_, &stream);
  return next_context_++;
}

HttpContext* Vm::find(Context id) const {
  const auto it = streams_.find(id);
  return it != streams_.end() ? it->second : nullptr;
}

Status Vm::set_effective(Context id) {
  if (id == kRootContext) {
    effective_ = nullptr;
    return Status::kOk;
  }
  HttpContext* stream = find(id);
  if (stream == nullptr) return Status::kBadArgument;
  effective_ = stream;
  return Status::kOk;
}

bool Vm::give(std::string_view bytes, std::uint32_t pointer_out, std::uint32_t size_out) {
  return give(bytes.size(), pointer_out, size_out, [&](char* out) { bytes.copy(out, bytes.size()); });
}

bool Vm::give(std::size_t size, std::uint32_t pointer_out, std::uint32_t size_out,
              const std::function<void(char*)>& fill) {
  const auto length = static_cast<std::uint32_t>(size);
  std::uint32_t address = 0;
  if (length > 0) {
    allocating_ = true;
    const auto allocated = instance_->call(functions_.allocate, length);
    allocating_ = false;
    // A trap in there ends the guest as a whole when the host call returns.
    if (!allocated || *allocated == 0) return false;
    address = *allocated;
    const auto target = instance_->memory().span(address, length);
    if (!target) return false;
    fill(target->data());
  }
  const sandbox::GuestMemory memory = instance_->memory();
  return memory.store(pointer_out, address) && memory.store(size_out, length);
}

void Vm::set_tick(std::chrono::milliseconds period) {
  tick_period_ = period;
  if (worker_ == nullptr) return;
  if (period.count() == 0 || !functions_.tick) {
    tick_.cancel();
    return;
  }
  tick_.arm(worker_->timers(), period, [this] {
    const net::Worker::Scope scope(*worker_);
    run_tick();
  });
}

void Vm::run_tick() {
  if (failed_ || shutting_down_) return;
  const auto self = shared_from_this();
  call(Callback::kTick, functions_.tick, nullptr, kRootContext);
  if (!failed_ && tick_period_.count() > 0 && !tick_.armed()) set_tick(tick_period_);
}

Result<std::uint32_t> Vm::http_call(std::string_view upstream, bool permit_address, extension::CallRequest request,
                                    HttpContext* stream) {
  const std::uint32_t token = next_token_ += 4;
  if (worker_ == nullptr) return token;  // a canary's calls go nowhere
  if (code_->dependencies.upstreams == nullptr) return heddle::fail(ErrorKind::kUnavailable, "there is no gateway here");
  const Context owner = stream != nullptr ? stream->id() : 0;
  std::size_t outstanding = 0;
  for (const auto& [id, call] : calls_) outstanding += call.stream == owner ? 1 : 0;
  if (outstanding >= (owner != 0 ? code_->spec.outbound_calls : kRootCalls)) {
    code_->count_limit("outbound_calls");
    return heddle::fail(ErrorKind::kLimit, "outbound_calls: too many calls at a time");
  }
  auto pending = code_->dependencies.upstreams->call(
      *worker_, upstream, permit_address, std::move(request),
      [weak = weak_from_this(), token](Result<extension::CallResponse> response) {
        if (const auto vm = weak.lock()) vm->deliver(token, std::move(response));
      });
  if (!pending) return std::unexpected(std::move(pending.error()));
  calls_.emplace(token, Call{std::move(*pending), owner});
  return token;
}

void Vm::deliver(std::uint32_t token, Result<extension::CallResponse> response) {
  const auto it = calls_.find(token);
  if (it == calls_.end()) return;
  const Call call_done = std::move(it->second);
  calls_.erase(it);
  if (failed_ || shutting_down_ || !functions_.http_call_response) return;
  std::uint32_t headers = 0;
  std::uint32_t body = 0;
  std::uint32_t trailers = 0;
  if (response) {
    delivered_ = &*response;
    headers = static_cast<std::uint32_t>(response->head->headers.size());
    body = static_cast<std::uint32_t>(response->body.size());
    trailers = response->trailers ? static_cast<std::uint32_t>(response->trailers->headers.size()) : 0;
  } else {
    code_->dependencies.log.warn("a plugin's call failed",
                                 {{"plugin", code_->spec.name}, {"error", response.error().message}});
  }
  call(Callback::kHttpCallResponse, functions_.http_call_response, nullptr, kRootContext, token, headers, body, trailers);
  delivered_ = nullptr;
}

Result<std::uint32_t> Vm::register_queue(std::string_view name) {
  if (!relay_) {
    relay_ = std::make_shared<QueueRelay>();
    relay_->worker = worker_;
    relay_->vm = weak_from_this();
  }
  return code_->dependencies.shared_queues.register_queue(code_->spec.vm_id, name, relay_);
}

void Vm::QueueRelay::on_item(std::uint32_t queue) {
  if (worker == nullptr) return;  // a canary
  worker->post([weak = vm, queue] {
    const auto vm = weak.lock();
    if (!vm || vm->failed_ || vm->shutting_down_ || !vm->functions_.queue_ready) return;
    vm->call(Callback::kQueueReady, vm->functions_.queue_ready, nullptr, kRootContext, queue);
  });
}

std::uint32_t Vm::define_metric(std::shared_ptr<const services::PluginMetric> metric) {
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    if (metrics_[i] == metric) return static_cast<std::uint32_t>(i);
  }
  metrics_.push_back(std::move(metric));
  return static_cast<std::uint32_t>(metrics_.size() - 1);
}

void Vm::shut_down() {
  if (std::exchange(shutting_down_, true)) return;
  tick_.cancel();
  calls_.clear();
  relay_.reset();
  if (failed_) return;
  if (functions_.done) {
    const auto done = call(Callback::kDone, functions_.done, nullptr, kRootContext);
    if (!done) return;
    if (*done == 0) {
      done_pending_ = true;
      keep_ = shared_from_this();
      done_timeout_.arm(worker_->timers(), kDoneTimeout, [this] {
        const net::Worker::Scope scope(*worker_);
        this->done();
      });
      return;
    }
  }
  delete_root();
}

Status Vm::done() {
  if (!std::exchange(done_pending_, false)) return Status::kNotFound;
  done_timeout_.cancel();
  // After the guest has returned.
  worker_->defer([self = std::move(keep_)] { self->delete_root(); });
  return Status::kOk;
}

void Vm::delete_root() {
  if (!failed_ && functions_.remove) call(Callback::kDelete, functions_.remove, nullptr, kRootContext);
  failed_ = true;  // nothing may be called any more
}

void Vm::write(int fd, std::string_view bytes) {
  if (!bytes.empty()) log_.write(fd == 2 ? LogLevel::kError : LogLevel::kInfo, bytes, request_id());
}

}  // namespace heddle::proxy_wasm
