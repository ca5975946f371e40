#include "contracts/proxy_wasm/plugin.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "contracts/proxy_wasm/http_context.h"
#include "net/worker.h"

namespace heddle::proxy_wasm {
namespace {

using extension::FailurePolicy;

// Workers must not all start the plugin anew in the same moment.
Nanoseconds with_jitter(std::chrono::nanoseconds delay) {
  thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_int_distribution<Nanoseconds> extra(0, delay.count() / 2);
  return delay.count() + extra(random);
}

}  // namespace

WorkerVm::WorkerVm(std::shared_ptr<Version> version, net::Worker& worker)
    : version_(std::move(version)), worker_(worker) {}

WorkerVm::~WorkerVm() {
  if (vm_ != nullptr) vm_->forget_owner();
}

Result<void> WorkerVm::start() {
  if (vm_ != nullptr) return {};
  auto vm = Vm::create(version_, &worker_, this);
  if (!vm) {
    ++failures_;
    retry_later();
    return std::unexpected(std::move(vm.error()));
  }
  failures_ = 0;
  retry_at_ = 0;
  retry_timer_.cancel();
  vm_ = std::move(*vm);
  return {};
}

std::shared_ptr<Vm> WorkerVm::acquire() {
  if (vm_ != nullptr) [[likely]]
    return vm_;
  if (retry_at_ != 0 && (failures_ > 0 || version_->spec.on_failure == FailurePolicy::kReload) &&
      monotonic_now() < retry_at_) {
    return nullptr;
  }
  if (auto started = start(); !started) {
    version_->log.write(LogLevel::kError,
                        "the plugin cannot be started anew: " + started.error().message);
  }
  return vm_;
}

void WorkerVm::retry_later() {
  const auto doubled = kBackOff * (1U << std::min(failures_ > 0 ? failures_ - 1 : 0, 5U));
  const Nanoseconds delay = with_jitter(std::min<std::chrono::nanoseconds>(doubled, kMaxBackOff));
  retry_at_ = monotonic_now() + delay;
  retry_timer_.arm(worker_.timers(), std::chrono::nanoseconds(delay), [this] {
    retry_at_ = 0;
    acquire();
  });
}

// The failed VM is in the middle of a call; it goes when the worker comes back to the loop, or with
// its last exchange.
void WorkerVm::on_vm_failed(Vm& vm) {
  vm.forget_owner();
  if (vm_.get() == &vm) worker_.defer([gone = std::move(vm_)] {});
  vm_ = nullptr;
  retry_later();
}

void WorkerVm::dismantle(bool wait) {
  retry_timer_.cancel();
  if (auto vm = std::exchange(vm_, nullptr)) vm->dismantle(wait);
}

namespace {
auto wants_of(const ModuleTraits& traits, const std::vector<std::string>& phases) {
  const bool all = phases.empty() || std::ranges::find(phases, "all") != phases.end();
  return [&traits, &phases, all](Callback callback) {
    return traits.callbacks[static_cast<std::size_t>(callback)] &&
           (all || std::ranges::find(phases, short_name(callback)) != phases.end());
  };
}
}  // namespace

extension::FilterInterest interest_of(const ModuleTraits& traits,
                                      const std::vector<std::string>& phases) {
  const auto wants = wants_of(traits, phases);
  return {.request_headers = wants(Callback::kRequestHeaders),
          .request_data = wants(Callback::kRequestBody),
          .request_trailers = wants(Callback::kRequestTrailers),
          .response_headers = wants(Callback::kResponseHeaders),
          .response_data = wants(Callback::kResponseBody),
          .response_trailers = wants(Callback::kResponseTrailers),
          .log = wants(Callback::kLog)};
}

NetworkInterest network_interest_of(const ModuleTraits& traits,
                                    const std::vector<std::string>& phases) {
  const auto wants = wants_of(traits, phases);
  return {.new_connection = wants(Callback::kNewConnection),
          .downstream_data = wants(Callback::kDownstreamData),
          .upstream_data = wants(Callback::kUpstreamData),
          .downstream_close = wants(Callback::kDownstreamClose),
          .upstream_close = wants(Callback::kUpstreamClose),
          .log = wants(Callback::kLog)};
}

Plugin::Plugin(std::shared_ptr<Version> version)
    : version_(std::move(version)),
      interest_(interest_of(version_->traits, version_->spec.phases)),
      network_interest_(network_interest_of(version_->traits, version_->spec.phases)) {
  wants_anything_ = interest_.request_headers || interest_.request_data ||
                    interest_.request_trailers || interest_.response_headers ||
                    interest_.response_data || interest_.response_trailers || interest_.log;
}

// May run on any thread: what lies on a worker is taken down there. A worker that has stopped drops
// it unrun.
Plugin::~Plugin() {
  for (Place& place : workers_) {
    if (place.vm == nullptr) continue;
    place.worker->post([vm = std::move(place.vm)] { vm->dismantle(true); });
  }
}

std::string_view Plugin::kind() const {
  return "proxy_wasm";
}

WorkerVm& Plugin::at(net::Worker& worker) {
  Place& place = workers_.at(worker.index());
  if (place.vm == nullptr) {
    place.vm = std::make_unique<WorkerVm>(version_, worker);
    place.worker = &worker;
  }
  return *place.vm;
}

Result<void> Plugin::start(net::Worker& worker) {
  return at(worker).start();
}

void Plugin::stop(net::Worker& worker) {
  Place& place = workers_.at(worker.index());
  if (const auto vm = std::exchange(place.vm, nullptr)) vm->dismantle(false);
}

std::shared_ptr<extension::HttpFilterFactory> Plugin::http_filter() {
  return shared_from_this();
}

std::unique_ptr<extension::HttpFilter> Plugin::create(extension::FilterHost& host) {
  if (!wants_anything_) return nullptr;
  auto vm = at(host.worker()).acquire();
  if (vm == nullptr && version_->spec.on_failure == FailurePolicy::kOpen) return nullptr;
  return std::make_unique<HttpContext>(*version_, std::move(vm), host);
}

std::shared_ptr<extension::NetworkFilterFactory> Plugin::network_filter() {
  return network_interest_.any() ? shared_from_this() : nullptr;
}

std::unique_ptr<extension::NetworkFilter> Plugin::create_network(
    extension::NetworkFilterHost& host) {
  auto vm = at(host.worker()).acquire();
  if (vm == nullptr && version_->spec.on_failure == FailurePolicy::kOpen) return nullptr;
  return std::make_unique<NetworkContext>(*version_, std::move(vm), host, network_interest_);
}

}  // namespace heddle::proxy_wasm
