#include "contracts/pw/plugin.h"

#include <random>

#include "contracts/pw/http_context.h"
#include "net/worker.h"

namespace heddle::proxy_wasm {
namespace {

// Answers every exchange of a plugin that has no VM now with its failure status.
class ClosedFilter final : public extension::HttpFilter {
 public:
  ClosedFilter(std::shared_ptr<const PluginCode> code, extension::FilterHost& host)
      : code_(std::move(code)), host_(host) {}

  extension::HeadersAction on_request_headers(http::HeaderMap& /*headers*/, bool /*end*/) override {
    reply();
    return extension::HeadersAction::kStopAllWatermark;
  }
  extension::DataAction on_request_data(http::Buffer& /*data*/, bool /*end*/) override {
    reply();
    return extension::DataAction::kNoBuffer;
  }
  extension::TrailersAction on_request_trailers(http::HeaderMap& /*trailers*/) override {
    reply();
    return extension::TrailersAction::kStop;
  }
  extension::HeadersAction on_response_headers(http::HeaderMap& /*headers*/, bool /*end*/) override {
    reply();
    return extension::HeadersAction::kContinue;
  }
  extension::DataAction on_response_data(http::Buffer& /*data*/, bool /*end*/) override {
    return extension::DataAction::kContinue;
  }
  extension::TrailersAction on_response_trailers(http::HeaderMap& /*trailers*/) override {
    return extension::TrailersAction::kContinue;
  }
  void on_log() override {}

 private:
  void reply() {
    if (std::exchange(replied_, true)) return;
    host_.send_local_reply(failure_reply(*code_, host_.info()));
  }

  std::shared_ptr<const PluginCode> code_;
  extension::FilterHost& host_;
  bool replied_ = false;
};

// Up to half as much again, so that workers and servers do not start in step.
Nanoseconds jittered(Nanoseconds base) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return base + static_cast<Nanoseconds>(random() % static_cast<std::uint64_t>(base / 2));
}

}  // namespace

FilterFactory::FilterFactory(std::shared_ptr<const PluginCode> code) : code_(std::move(code)) {}

FilterFactory::~FilterFactory() {
  for (Slot& slot : slots_) {
    if (!slot.vm) continue;
    net::Worker* worker = slot.worker;
    worker->post([vm = std::move(slot.vm)] { vm->shut_down(); });
  }
}

FilterFactory::Slot* FilterFactory::slot(net::Worker& worker) {
  Slot& slot = slots_[worker.index() % kWorkers];
  slot.worker = &worker;
  return &slot;
}

Result<void> FilterFactory::start(net::Worker& worker) {
  Slot& slot = *this->slot(worker);
  if (slot.vm && !slot.vm->failed()) return {};
  auto started = Vm::start(code_, &worker);
  slot.next_start = worker.now() + jittered(kBackOff);
  if (!started) return std::unexpected(std::move(started.error()));
  slot.vm = std::move(*started);
  return {};
}

void FilterFactory::stop(net::Worker& worker) {
  Slot& slot = *this->slot(worker);
  if (const auto vm = std::exchange(slot.vm, nullptr)) vm->shut_down();
}

std::shared_ptr<Vm> FilterFactory::vm_for(net::Worker& worker) {
  Slot& slot = *this->slot(worker);
  if (slot.vm && !slot.vm->failed()) return slot.vm;
  const bool first = slot.next_start == 0;
  const bool had_one = slot.vm != nullptr;
  // A VM that failed in use is replaced at once (the policy `reload` waits); one that does not even start is tried again
  // after a while only.
  const bool wait = !first && worker.now() < slot.next_start;
  if (wait && (!had_one || code_->spec.on_failure == extension::FailurePolicy::kReload)) return nullptr;
  slot.vm.reset();
  if (auto started = start(worker); !started) {
    code_->count_error("start");
    code_->remember_error(started.error().message);
    code_->dependencies.log.error("plugin cannot be started again",
                                  {{"plugin", code_->spec.name}, {"error", started.error().message}});
  }
  return slot.vm;
}

std::unique_ptr<extension::HttpFilter> FilterFactory::create(extension::FilterHost& host) {
  if (auto vm = vm_for(host.worker())) return std::make_unique<HttpContext>(std::move(vm), host);
  if (code_->spec.on_failure == extension::FailurePolicy::kOpen) return nullptr;
  return std::make_unique<ClosedFilter>(code_, host);
}

Plugin::Plugin(std::shared_ptr<const PluginCode> code)
    : code_(std::move(code)), factory_(std::make_shared<FilterFactory>(code_)) {}

extension::PluginStats Plugin::stats() const {
  extension::PluginStats out;
  const PluginMetricHandles& metrics = code_->metrics;
  const auto durations = metrics.duration->snapshot();
  out.calls = durations.count;
  out.errors = code_->errors();
  out.limit_hits = code_->limit_hits();
  out.exchanges = metrics.exchanges->value();
  out.cpu_seconds = static_cast<double>(metrics.cpu_microseconds->value()) * 1e-6;
  out.average_call_us = durations.count > 0 ? static_cast<double>(durations.sum) / static_cast<double>(durations.count) / 1000 : 0;
  out.memory_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(metrics.memory->value(), 0));
  out.instances = static_cast<std::uint64_t>(std::max<std::int64_t>(metrics.instances->value(), 0));
  out.last_error = code_->last_error();
  return out;
}

}  // namespace heddle::proxy_wasm
