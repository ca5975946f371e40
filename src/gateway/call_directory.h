// Calls of plugins to upstreams (UpstreamDirectory): Proxy-Wasm http_call, grpc_call and
// grpc_stream. One for the process; each call runs on the worker that asks, over that worker's
// client pool, and counts in the upstream's metrics.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "extension/upstream_directory.h"
#include "gateway/gateway_worker.h"

namespace heddle::gateway {

class CallDirectory final : public extension::UpstreamDirectory {
 public:
  // Largest answer to a call; beyond it the call fails (kLimit).
  static constexpr std::size_t kMaxResponseBytes = std::size_t{10} << 20U;

  // Workers by their index; set once before they start.
  void set_workers(std::vector<GatewayWorker*> workers) { workers_ = std::move(workers); }

  bool exists(net::Worker& worker, std::string_view upstream) const override;
  Result<std::unique_ptr<extension::PendingCall>> call(
      net::Worker& worker, std::string_view upstream, bool permit_address,
      extension::CallRequest request,
      std::move_only_function<void(Result<extension::CallResponse>)> done) override;
  Result<std::unique_ptr<extension::OpenStream>> open_stream(net::Worker& worker,
                                                             std::string_view upstream,
                                                             bool permit_address,
                                                             http::Receiver& receiver) override;

 private:
  struct Found;
  Result<Found> find(net::Worker& worker, std::string_view upstream, bool permit_address) const;
  GatewayWorker* gateway_of(net::Worker& worker) const;

  std::vector<GatewayWorker*> workers_;
};

}  // namespace heddle::gateway
