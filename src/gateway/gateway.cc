#include "gateway/gateway.h"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace heddle::gateway {

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

Result<void> Gateway::probe(const std::vector<config::Listener>& listeners) {
  for (const config::Listener& listener : listeners) {
    auto address = http::reserve_address(listener.address);
    if (!address) {
      return std::unexpected(std::move(address.error()).within("listener " + listener.name + ": "));
    }
    listeners_.push_back({listener, std::move(*address)});
  }
  return {};
}

Result<void> Gateway::listen() {
  for (const BoundListener& bound : listeners_) {
    auto listening = each_worker([&](GatewayWorker& worker) {
      return worker.listen(bound.listener, bound.reserved.address);
    });
    if (!listening) {
      return std::unexpected(
          std::move(listening.error()).within("listener " + bound.listener.name + ": "));
    }
    log_.info("listening",
              {{"listener", bound.listener.name}, {"address", bound.reserved.address}});
  }
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

bool Gateway::drain(std::chrono::milliseconds timeout, const std::function<bool()>& hurry) {
  on_all_workers([](GatewayWorker& worker) {
    worker.stop_accepting();
    worker.drain();
  });
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (sum([](GatewayWorker& worker) { return worker.connections(); }) > 0) {
    if (std::chrono::steady_clock::now() >= deadline || hurry()) {
      const std::size_t left = sum([](GatewayWorker& worker) { return worker.exchanges(); });
      log_.warn("not everything ended in time; closing what is left",
                {{"exchanges", left}, {"limit", "drain_timeout"}});
      return left == 0;
    }
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
