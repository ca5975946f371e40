// The gateway on one worker: its snapshot, client connections, origins, listeners and exchanges.
// Everything here is touched by the worker's thread only, except publish().
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "extension/http_origin.h"
#include "gateway/snapshot.h"
#include "gateway/worker_listeners.h"
#include "http/client.h"
#include "http/server.h"
#include "net/blocking_pool.h"
#include "net/worker.h"
#include "telemetry/access_log.h"

namespace heddle::gateway {

class Exchange;
class UpstreamState;

// A snapshot as one worker uses it: with origins that hold this worker's state. Exchanges share it;
// when the last one of an old snapshot ends, it goes.
struct BoundSnapshot {
  std::shared_ptr<const Snapshot> snapshot;
  // As snapshot->upstreams(). Exchanges that went over to a newer snapshot still hold theirs.
  std::vector<std::shared_ptr<extension::HttpOrigin>> origins;
};

struct GatewayMetrics {
  explicit GatewayMetrics(metrics::Registry& registry);
  std::shared_ptr<metrics::Gauge> active;
  std::shared_ptr<metrics::Counter> bad_requests;
  std::shared_ptr<metrics::Counter> logs_dropped;
  std::shared_ptr<metrics::Counter> timeouts;
};

class GatewayWorker final {
 public:
  GatewayWorker(net::Worker& worker, net::BlockingPool& blocking, Log& log,
                metrics::Registry& metrics);
  ~GatewayWorker();
  GatewayWorker(const GatewayWorker&) = delete;
  GatewayWorker& operator=(const GatewayWorker&) = delete;

  // Makes this the snapshot of every exchange that starts from now on; null when the worker is
  // about to go. Worker thread.
  // `states`: of the snapshot's upstreams in order, null for built-in ones.
  void use(std::shared_ptr<const Snapshot> snapshot,
           const std::vector<std::shared_ptr<UpstreamState>>& states);

  // What answers for upstreams with `builtin: NAME`; before the first use(). Outlives this.
  void set_builtin(const std::string& name, extension::HttpOrigin& origin);

  WorkerListeners& listeners() { return listeners_; }
  // Ends what came in by a listener that is gone. Whether there are tunnels, which end softly.
  bool end_exchanges(std::uint64_t listener);
  void abort();
  // Exchanges and TCP connections that have not ended.
  std::size_t exchanges() const { return active_ + listeners_.tcp_connections(); }
  // Runs what is queued for later at once; before the worker goes.
  void finish_late_work();

  // As http::ServerHandler has them; `listener` is the number that WorkerListeners knows it by.
  http::Receiver* on_request(std::uint64_t listener, http::Sender& sender,
                             const http::ConnectionInfo& connection, http::HeadPtr head, bool end);
  std::string on_bad_request(const http::ConnectionInfo& connection, int status,
                             std::string_view reason);

  net::Worker& worker() { return worker_; }
  Log& log() { return log_; }
  http::ClientPool& pool() { return *pool_; }
  GatewayMetrics& metrics() { return metrics_; }
  const std::shared_ptr<BoundSnapshot>& current() const { return current_; }
  telemetry::AccessLog& access_log() { return access_log_; }
  // What the realtime clock is ahead of the monotonic one; read about once a second.
  Nanoseconds wall_offset() {
    if (worker_.now() >= wall_offset_until_) {
      wall_offset_ = wall_now() - monotonic_now();
      wall_offset_until_ = worker_.now() + 1'000'000'000;
    }
    return wall_offset_;
  }

  // For exchanges: one has ended and wants its on_log and access-log line written when the worker
  // has time; one is free to be used again.
  void ended(Exchange& exchange);
  void recycle(Exchange& exchange);
  // For TCP connections: the line of one that ended.
  void write_access(const telemetry::ConnectionRecord& record);

 private:
  static constexpr std::size_t kLateLimit = 8192;  // ended exchanges that may wait for on_log
  static constexpr std::size_t kLateBatch = 128;   // of them finished in one turn of the loop
  void run_late(std::size_t limit);
  void schedule_late();

  net::Worker& worker_;
  Log& log_;
  GatewayMetrics metrics_;
  std::map<std::string, std::shared_ptr<extension::HttpOrigin>> builtins_;  // by name
  std::unique_ptr<http::ClientPool> pool_;
  std::shared_ptr<BoundSnapshot> current_;
  WorkerListeners listeners_;
  std::vector<std::unique_ptr<Exchange>> all_;
  std::vector<Exchange*> free_;
  std::vector<Exchange*> late_;
  std::size_t late_next_ = 0;
  bool late_scheduled_ = false;
  std::size_t active_ = 0;
  Nanoseconds wall_offset_ = 0;
  Nanoseconds wall_offset_until_ = 0;
  telemetry::AccessLog access_log_;
};

}  // namespace heddle::gateway
