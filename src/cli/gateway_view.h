// What the admin API may know of the gateway (admin::GatewayView), from the current snapshot and
// the metrics.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "admin/gateway_view.h"
#include "base/metrics.h"
#include "gateway/snapshot.h"
#include "gateway/upstream_manager.h"

namespace heddle::cli {

// The control thread writes, the admin worker reads.
class GatewayView final : public admin::GatewayView {
 public:
  GatewayView(metrics::Registry& metrics, std::size_t workers);

  void publish(std::shared_ptr<const gateway::Snapshot> snapshot,
               std::shared_ptr<const config::Config> config);
  std::shared_ptr<const config::Config> config() const;
  // `upstreams` outlives every call.
  void set_upstreams(const gateway::UpstreamManager& upstreams) { manager_ = &upstreams; }
  void set_phase(admin::Phase phase) { phase_ = phase; }
  // A reload ended; `error` empty: well.
  void note_reload(std::string error);

  std::vector<admin::RouteView> routes() const override;
  std::vector<admin::UpstreamView> upstreams() const override;
  admin::Phase phase() const override { return phase_; }
  admin::GatewayCounts counts() const override;
  admin::ReloadView reload() const override;

 private:
  std::shared_ptr<const gateway::Snapshot> snapshot() const;

  std::shared_ptr<metrics::Gauge> connections_;
  std::shared_ptr<metrics::Gauge> exchanges_;
  std::shared_ptr<metrics::Gauge> snapshots_;
  std::shared_ptr<metrics::Counter> reloads_;
  std::shared_ptr<metrics::Counter> failed_reloads_;
  std::shared_ptr<metrics::Gauge> reload_succeeded_;
  std::shared_ptr<metrics::Gauge> loaded_at_;
  const gateway::UpstreamManager* manager_ = nullptr;
  std::size_t workers_;
  std::atomic<admin::Phase> phase_{admin::Phase::kStarting};
  mutable std::mutex mutex_;
  std::shared_ptr<const gateway::Snapshot> snapshot_;
  std::shared_ptr<const config::Config> config_;
  std::uint64_t version_ = 0;
  admin::ReloadView reload_;
};

}  // namespace heddle::cli
