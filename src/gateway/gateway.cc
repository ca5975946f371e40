#include "gateway/gateway.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "gateway/exchange.h"
#include "net/acceptor.h"
#include "net/address.h"

namespace heddle::gateway {
namespace {

// For the workers to take away what has ended, beyond the time that it had.
constexpr std::chrono::milliseconds kLastTurn{500};

}  // namespace

Gateway::Gateway(std::vector<std::unique_ptr<net::Worker>>& workers, net::BlockingPool& blocking,
                 Log& log, metrics::Registry& metrics)
    : workers_(workers), log_(log) {
  std::vector<GatewayWorker*> parts;
  for (const auto& worker : workers_) {
    parts_.push_back(std::make_unique<GatewayWorker>(*worker, blocking, log, metrics));
    parts.push_back(parts_.back().get());
  }
  directory_.set_workers(std::move(parts));
  upstreams_ = std::make_unique<UpstreamManager>(log, metrics, [this](const std::string& address) {
    for (const auto& part : parts_) {
      part->worker().post([worker = part.get(), address] { worker->pool().forget(address); });
    }
  });
}

Gateway::~Gateway() = default;

void Gateway::set_builtin(const std::string& name, extension::HttpOrigin& origin) {
  for (const auto& part : parts_) part->set_builtin(name, origin);
}

// The listener that can go on as `listener`: its socket and its connections are the same.
const Gateway::BoundListener* Gateway::bound_as(const config::Listener& listener) const {
  const auto found = std::ranges::find_if(listeners_, [&](const BoundListener& bound) {
    return bound.listener.name == listener.name && bound.listener.address == listener.address &&
           bound.listener.is_tcp() == listener.is_tcp() &&
           bound.listener.tls.enabled == listener.tls.enabled;
  });
  return found != listeners_.end() ? &*found : nullptr;
}

// A port of our own may change hands: the former listener has it until the new one stands. That of
// the admin API may not, which plan_listeners() says better than the kernel.
Result<http::ReservedAddress> Gateway::reserve(const config::Listener& listener,
                                               const std::string& admin) const {
  auto reserved = http::reserve_address(listener.address);
  const auto port_of = [](const std::string& address) {
    const auto parsed = net::parse_host_port(address);
    return parsed ? parsed->port : 0;
  };
  const auto port = port_of(listener.address);
  const bool ours =
      port == port_of(admin) || std::ranges::any_of(listeners_, [&](const BoundListener& bound) {
        return port_of(bound.reserved.address) == port;
      });
  if (reserved || !ours) return reserved;
  return http::reserve_address(listener.address, net::Sharing::kShared);
}

Gateway::ListenerPlan Gateway::plan_listeners(const std::vector<config::Listener>& listeners,
                                              const std::string& admin) const {
  ListenerPlan plan;
  // SO_REUSEPORT lets our own listeners share an address, so the kernel does not complain.
  std::vector<std::pair<std::string, std::string>> taken;  // address, whose
  if (!admin.empty()) taken.emplace_back(admin, "the admin API");
  for (const config::Listener& listener : listeners) {
    ListenerPlan::Item item{.listener = listener, .kept = 0, .reserved = {}};
    std::string address;
    if (const BoundListener* bound = bound_as(listener)) {
      item.kept = bound->id;
      address = bound->reserved.address;
    } else if (auto reserved = reserve(listener, admin)) {
      item.reserved = std::move(*reserved);
      address = item.reserved.address;
    } else {
      plan.failed.emplace_back(listener.name, std::move(reserved.error()));
      continue;
    }
    const auto other = std::ranges::find_if(
        taken, [&](const auto& each) { return net::overlap(each.first, address); });
    if (other != taken.end()) {
      plan.failed.emplace_back(
          listener.name, Error{ErrorKind::kConflict,
                               "address " + listener.address + " is also that of " + other->second +
                                   " (" + other->first + "); give them different ports"});
      continue;
    }
    taken.emplace_back(std::move(address), "the listener " + listener.name);
    plan.items.push_back(std::move(item));
  }
  return plan;
}

Result<void> Gateway::apply_listeners(ListenerPlan plan, std::chrono::milliseconds drain_timeout) {
  Result<void> out;
  std::vector<BoundListener> former = std::exchange(listeners_, {});
  for (ListenerPlan::Item& item : plan.items) {
    const auto kept = std::ranges::find(former, item.kept, &BoundListener::id);
    if (kept == former.end()) {
      BoundListener fresh{++last_listener_, std::move(item.listener), std::move(item.reserved)};
      auto opened = open(fresh);
      if (!opened && out) out = std::move(opened);
      listeners_.push_back(std::move(fresh));
      continue;
    }
    if (item.listener != kept->listener) {
      on_all_workers(
          [&](GatewayWorker& worker) { worker.listeners().update(kept->id, item.listener); });
    }
    listeners_.push_back({kept->id, std::move(item.listener), std::move(kept->reserved)});
    former.erase(kept);
  }
  for (const BoundListener& gone : former) {
    on_all_workers(
        [&](GatewayWorker& worker) { worker.listeners().retire(gone.id, drain_timeout); });
    log_.info("no longer listening",
              {{"listener", gone.listener.name}, {"address", gone.reserved.address}});
  }
  return out;
}

Result<void> Gateway::open(BoundListener& listener) {
  auto opened = each_worker([&](GatewayWorker& worker) {
    return worker.listeners().open(listener.id, listener.listener, listener.reserved.address);
  });
  if (!opened) {
    return std::unexpected(
        std::move(opened.error()).within("listener " + listener.listener.name + ": "));
  }
  log_.info("listening",
            {{"listener", listener.listener.name}, {"address", listener.reserved.address}});
  return {};
}

Result<void> Gateway::start_plugin(extension::LoadedPlugin& plugin) {
  return each_worker([&](GatewayWorker& worker) { return plugin.start(worker.worker()); });
}

// The first error of any worker.
Result<void> Gateway::each_worker(const std::function<Result<void>(GatewayWorker&)>& task) {
  std::mutex mutex;
  Result<void> out;
  on_all_workers([&](GatewayWorker& worker) {
    auto result = task(worker);
    const std::lock_guard lock(mutex);
    if (!result && out) out = std::move(result);
  });
  return out;
}

void Gateway::on_all_workers(const std::function<void(GatewayWorker&)>& task) {
  std::mutex mutex;
  std::condition_variable done;
  std::size_t left = parts_.size();
  for (const auto& part : parts_) {
    part->worker().post([&, worker = part.get()] {
      task(*worker);
      const std::lock_guard lock(mutex);
      if (--left == 0) done.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return left == 0; });
}

std::size_t Gateway::sum(const std::function<std::size_t(GatewayWorker&)>& part) {
  std::atomic<std::size_t> total{0};
  on_all_workers([&](GatewayWorker& worker) { total += part(worker); });
  return total;
}

void Gateway::publish(std::shared_ptr<const Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  const auto states = upstreams_->apply(snapshot_->upstreams());
  on_all_workers([&](GatewayWorker& worker) { worker.use(snapshot_, states); });
}

void Gateway::stop_accepting() {
  on_all_workers([](GatewayWorker& worker) { worker.listeners().stop_accepting(); });
}

bool Gateway::drain(std::chrono::milliseconds timeout, const std::function<bool()>& hurry) {
  on_all_workers([](GatewayWorker& worker) { worker.listeners().drain(); });
  if (wait_for_listeners(timeout + 2 * net::Acceptor::kLastHandshakes, hurry)) return true;
  const std::size_t left = sum([](GatewayWorker& worker) { return worker.exchanges(); });
  log_.warn("not everything ended in time; closing what is left",
            {{"exchanges", left}, {"limit", "drain_timeout"}});
  if (!hurry()) {
    on_all_workers([](GatewayWorker& worker) { worker.listeners().give_up(); });
    wait_for_listeners(Exchange::kFarewell + kLastTurn, hurry);
  }
  return left == 0;
}

// Whether all have ended.
bool Gateway::wait_for_listeners(std::chrono::milliseconds timeout,
                                 const std::function<bool()>& hurry) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (sum([](GatewayWorker& worker) { return worker.listeners().ended() ? 0U : 1U; }) > 0) {
    if (std::chrono::steady_clock::now() >= deadline || hurry()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

void Gateway::shut_down() {
  on_all_workers([](GatewayWorker& worker) {
    worker.abort();
    worker.finish_late_work();
    worker.use(nullptr, {});
  });
  snapshot_.reset();
}

void Gateway::settle() {
  on_all_workers([](GatewayWorker&) {});
}

}  // namespace heddle::gateway
