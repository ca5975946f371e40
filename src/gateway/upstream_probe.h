// The active health check of one endpoint: asks it again and again, and says when it became healthy
// or unhealthy. Lives on the worker of the UpstreamManager.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/upstream_state.h"
#include "http/client.h"
#include "net/resolver.h"
#include "net/tcp_stream.h"
#include "net/timer.h"
#include "net/worker.h"

namespace heddle::gateway {

struct ProbeMetrics {
  ProbeMetrics(const std::string& upstream, metrics::Registry& metrics);
  std::shared_ptr<metrics::Counter> passed;
  std::shared_ptr<metrics::Counter> failed;
};

class UpstreamProbe final : public http::Receiver, public net::TcpStream::Observer {
 public:
  // `entry` is an endpoint of `state`.
  UpstreamProbe(net::Worker& worker, http::ClientPool& pool, net::Resolver& resolver,
                std::shared_ptr<UpstreamState> state, EndpointEntry entry,
                config::HealthCheck options, metrics::Registry& metrics);
  ~UpstreamProbe() override;
  UpstreamProbe(const UpstreamProbe&) = delete;
  UpstreamProbe& operator=(const UpstreamProbe&) = delete;

  // Whether this is what such a probe would be.
  bool is_for(const EndpointEntry& entry, const config::HealthCheck& options) const;

  // http::Receiver
  void on_informational(http::HeadPtr /*head*/) override {}
  void on_head(http::HeadPtr head, bool end) override;
  void on_data(http::Buffer& /*data*/, bool /*end*/) override {}
  void on_trailers(http::HeadPtr /*trailers*/) override {}
  void on_reset(http::StreamError error, std::string_view detail) override;
  void on_writable() override {}
  void on_complete() override;

  // net::TcpStream::Observer
  void on_connect(int error) override;
  void on_read(std::size_t /*count*/) override {}
  void on_read_end(int /*error*/) override {}
  void on_write_ready() override {}

 private:
  void check();
  void check_http();
  void check_tcp();
  void finish(bool passed, std::string_view reason);
  void check_later();

  net::Worker& worker_;
  http::ClientPool& pool_;
  net::Resolver& resolver_;
  const std::shared_ptr<UpstreamState> state_;
  const EndpointEntry entry_;
  const config::HealthCheck options_;
  ProbeMetrics metrics_;
  http::ClientStream* stream_ = nullptr;
  std::unique_ptr<net::TcpStream> socket_;
  net::Timer timer_;  // until the next check, or the time-out of this one
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  int status_ = 0;
  std::uint32_t passed_in_row_ = 0;
  std::uint32_t failed_in_row_ = 0;
  std::uint64_t random_;
};

}  // namespace heddle::gateway
