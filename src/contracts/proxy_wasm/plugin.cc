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

WorkerRoot::WorkerRoot(std::shared_ptr<Version> version, net::Worker& worker)
    : version_(std::move(version)), worker_(worker) {}

WorkerRoot::~WorkerRoot() {
  if (root_ != nullptr) root_->forget_owner();
}

// Smoke requests run on a worker that comes and goes, where plugins share nothing.
Result<std::shared_ptr<Root>> WorkerRoot::make() {
  if (worker_.index() == extension::kSmokeWorker) return Root::create(version_, &worker_, this);
  std::weak_ptr<Vm>& place = version_->vms->at(worker_.index());
  if (auto vm = place.lock(); vm != nullptr && !vm->failed()) {
    return Root::join(std::move(vm), version_, this);
  }
  auto root = Root::create(version_, &worker_, this);
  if (root) place = (*root)->shared_vm();
  return root;
}

Result<void> WorkerRoot::start() {
  if (root_ != nullptr) return {};
  auto root = make();
  if (!root) {
    ++failures_;
    retry_later();
    return std::unexpected(std::move(root.error()));
  }
  failures_ = 0;
  retry_at_ = 0;
  retry_timer_.cancel();
  root_ = std::move(*root);
  return {};
}

std::shared_ptr<Root> WorkerRoot::acquire() {
  if (root_ != nullptr) [[likely]]
    return root_;
  if (retry_at_ != 0 && (failures_ > 0 || version_->spec.on_failure == FailurePolicy::kReload) &&
      monotonic_now() < retry_at_) {
    return nullptr;
  }
  if (auto started = start(); !started) {
    version_->log.write(LogLevel::kError,
                        "the plugin cannot be started anew: " + started.error().message);
  }
  return root_;
}

void WorkerRoot::retry_later() {
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
void WorkerRoot::on_root_failed(Root& root) {
  root.forget_owner();
  if (root_.get() == &root) worker_.defer([gone = std::move(root_)] {});
  root_ = nullptr;
  retry_later();
}

void WorkerRoot::announce_end() {
  retry_timer_.cancel();
  if (root_ != nullptr) root_->announce_end();
}

void WorkerRoot::dismantle(bool wait) {
  retry_timer_.cancel();
  if (auto root = std::exchange(root_, nullptr)) root->dismantle(wait);
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

Plugin::Plugin(std::shared_ptr<Version> version,
               const std::vector<std::shared_ptr<Version>>& of_routes)
    : version_(std::move(version)),
      versions_{version_},
      interest_(interest_of(version_->traits, version_->spec.phases)),
      network_interest_(network_interest_of(version_->traits, version_->spec.phases)) {
  wants_anything_ = interest_.request_headers || interest_.request_data ||
                    interest_.request_trailers || interest_.response_headers ||
                    interest_.response_data || interest_.response_trailers || interest_.log;
  for (const auto& each : of_routes) {
    route_filters_.push_back(std::make_unique<RouteFilters>(*this, versions_.size()));
    versions_.push_back(each);
  }
}

// May run on any thread: what lies on a worker is taken down there. A worker that has stopped drops
// it unrun.
Plugin::~Plugin() {
  workers_.for_each([](Place& place) {
    if (place.roots.empty()) return;
    net::Worker& worker = *place.worker;
    worker.post([place = std::move(place)]() mutable { dismantle(place, true); });
  });
}

void Plugin::dismantle(Place& place, bool wait) {
  for (const auto& root : place.roots) root->announce_end();
  for (const auto& root : place.roots) root->dismantle(wait);
  place.roots.clear();
}

std::string_view Plugin::kind() const {
  return "proxy_wasm";
}

Plugin::Place& Plugin::at(net::Worker& worker) {
  Place& place = workers_.at(worker.index());
  if (place.roots.empty()) {
    for (const auto& version : versions_)
      place.roots.push_back(std::make_unique<WorkerRoot>(version, worker));
    place.worker = &worker;
  }
  return place;
}

Result<void> Plugin::start(net::Worker& worker) {
  Result<void> first_error;
  for (const auto& root : at(worker).roots) {
    if (auto started = root->start(); !started && first_error) first_error = std::move(started);
  }
  return first_error;
}

void Plugin::stop(net::Worker& worker) {
  Place place = std::exchange(workers_.at(worker.index()), Place());
  dismantle(place, false);
}

std::shared_ptr<extension::HttpFilterFactory> Plugin::http_filter() {
  return shared_from_this();
}

std::shared_ptr<extension::HttpFilterFactory> Plugin::http_filter(std::string_view configuration) {
  for (std::size_t i = 1; i < versions_.size(); ++i) {
    if (versions_[i]->spec.configuration != configuration) continue;
    return {shared_from_this(), route_filters_[i - 1].get()};
  }
  return nullptr;
}

std::unique_ptr<extension::HttpFilter> Plugin::create(extension::FilterHost& host,
                                                      std::size_t index) {
  if (!wants_anything_) return nullptr;
  auto root = at(host.worker()).roots[index]->acquire();
  if (root == nullptr && version_->spec.on_failure == FailurePolicy::kOpen) return nullptr;
  return std::make_unique<HttpContext>(*versions_[index], std::move(root), host);
}

std::shared_ptr<extension::NetworkFilterFactory> Plugin::network_filter() {
  return network_interest_.any() ? shared_from_this() : nullptr;
}

std::unique_ptr<extension::NetworkFilter> Plugin::create_network(
    extension::NetworkFilterHost& host) {
  auto root = at(host.worker()).roots[0]->acquire();
  if (root == nullptr && version_->spec.on_failure == FailurePolicy::kOpen) return nullptr;
  return std::make_unique<NetworkContext>(*version_, std::move(root), host, network_interest_);
}

}  // namespace heddle::proxy_wasm
