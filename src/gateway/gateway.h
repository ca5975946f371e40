// The gateway over all workers: listeners, the snapshot that every worker uses, draining. Owned by
// main; its methods run on the control thread unless they say otherwise.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "config/config.h"
#include "extension/plugin_contract.h"
#include "gateway/call_directory.h"
#include "gateway/gateway_worker.h"
#include "gateway/snapshot.h"
#include "gateway/upstream_manager.h"
#include "net/blocking_pool.h"
#include "net/worker.h"

namespace heddle::gateway {

class Gateway {
 public:
  // `workers` outlive the gateway and are not started yet.
  Gateway(std::vector<std::unique_ptr<net::Worker>>& workers, net::BlockingPool& blocking, Log& log,
          metrics::Registry& metrics);
  ~Gateway();

  extension::UpstreamDirectory& directory() { return directory_; }
  // What answers for upstreams with `builtin: NAME`; before publish(), and before the workers
  // start. It outlives the gateway's use of it: until shut_down().
  void set_builtin(const std::string& name, extension::HttpOrigin& origin);
  const UpstreamManager& upstreams() const { return *upstreams_; }

  // How to go over from the listeners that there are to those of a configuration. Reserves the
  // addresses of new ones (port 0 becomes a number), and changes nothing. `admin`: where the admin
  // API listens, or empty.
  struct ListenerPlan {
    struct Item {
      config::Listener listener;
      std::uint64_t kept = 0;  // the listener that goes on under it; 0: it is new
      http::ReservedAddress reserved;
    };
    std::vector<Item> items;
    std::vector<std::pair<std::string, Error>> failed;  // by the listener's name
  };
  ListenerPlan plan_listeners(const std::vector<config::Listener>& listeners,
                              const std::string& admin) const;
  // Opens, changes and retires listeners on every worker, after publish(). Logs addresses. An error
  // is what no plan could foresee; the other listeners serve.
  Result<void> apply_listeners(ListenerPlan plan, std::chrono::milliseconds drain_timeout);

  // Makes a plugin version's instance on every worker, so that no request waits for it.
  Result<void> start_plugin(extension::LoadedPlugin& plugin);

  // Every exchange that starts after this uses the new snapshot. Returns when all workers have it.
  void publish(std::shared_ptr<const Snapshot> snapshot);
  std::shared_ptr<const Snapshot> snapshot() const { return snapshot_; }

  // No new connection from here on.
  void stop_accepting();
  // Behind stop_accepting(): lets exchanges in flight end, up to `timeout` or until `hurry` says
  // so; then closes what is left, tunnels and TCP connections softly. True when nothing was left.
  bool drain(std::chrono::milliseconds timeout, const std::function<bool()>& hurry);

  // Dismantles the workers' halves on their threads: connections, snapshots, exchanges waiting for
  // on_log. Before the workers stop; settle() afterwards waits until what plugins posted to the
  // workers meanwhile is done.
  void shut_down();
  void settle();

 private:
  struct BoundListener {
    std::uint64_t id = 0;
    config::Listener listener;
    http::ReservedAddress reserved;
  };
  const BoundListener* bound_as(const config::Listener& listener) const;
  Result<http::ReservedAddress> reserve(const config::Listener& listener,
                                        const std::string& admin) const;
  Result<void> open(BoundListener& listener);

  // Runs `task` on every worker and waits for all.
  void on_all_workers(const std::function<void(GatewayWorker&)>& task);
  Result<void> each_worker(const std::function<Result<void>(GatewayWorker&)>& task);
  std::size_t sum(const std::function<std::size_t(GatewayWorker&)>& part);
  bool wait_for_listeners(std::chrono::milliseconds timeout, const std::function<bool()>& hurry);

  std::vector<std::unique_ptr<net::Worker>>& workers_;
  Log& log_;
  CallDirectory directory_;
  std::vector<std::unique_ptr<GatewayWorker>> parts_;
  std::unique_ptr<UpstreamManager> upstreams_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::vector<BoundListener> listeners_;
  std::uint64_t last_listener_ = 0;
};

}  // namespace heddle::gateway
