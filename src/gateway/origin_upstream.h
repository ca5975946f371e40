// An upstream of the configuration as an origin: picks an endpoint in turn and opens a stream on
// the worker's pool.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "config/config.h"
#include "extension/http_origin.h"
#include "http/client.h"

namespace heddle::gateway {

// One for each worker and upstream; `upstream` and `pool` outlive it.
class UpstreamOrigin final : public extension::HttpOrigin {
 public:
  // `tls`: spoken with the endpoints; null: plain.
  UpstreamOrigin(const config::Upstream& upstream, std::shared_ptr<const net::TlsClientContext> tls,
                 http::ClientPool& pool);

  http::Sender& start(net::Worker& worker, extension::ExchangeInfo& info,
                      http::Receiver& response) override;
  void describe(http::Sender& sender, extension::ExchangeInfo& info) override;

  // Opens a stream to the next endpoint.
  http::ClientStream& open(const extension::ExchangeInfo& info, http::Receiver& response);

 private:
  http::ClientPool& pool_;
  http::ClientLimits limits_;
  std::vector<http::ClientTarget> targets_;
  std::size_t next_ = 0;
};

}  // namespace heddle::gateway
