#include "gateway/origin_upstream.h"

#include <string>
#include <utility>

#include "net/address.h"
#include "net/worker.h"

namespace heddle::gateway {
namespace {

http::ClientProtocol protocol_of(const config::Upstream& upstream) {
  if (upstream.protocol == "http2" || upstream.protocol == "h2")
    return http::ClientProtocol::kHttp2;
  return upstream.protocol == "auto" ? http::ClientProtocol::kAuto : http::ClientProtocol::kHttp1;
}

std::string server_name(const config::Upstream& upstream, const config::Endpoint& endpoint) {
  if (!upstream.tls.server_name.empty()) return upstream.tls.server_name;
  const auto parsed = net::parse_host_port(endpoint.address);
  return parsed ? parsed->host : std::string();
}

}  // namespace

UpstreamOrigin::UpstreamOrigin(const config::Upstream& upstream,
                               std::shared_ptr<const net::TlsClientContext> tls,
                               http::ClientPool& pool)
    : pool_(pool) {
  for (const config::Endpoint& endpoint : upstream.endpoints) {
    http::ClientTarget target{
        .endpoint = endpoint.address, .protocol = protocol_of(upstream), .tls = tls};
    if (tls != nullptr) target.server_name = server_name(upstream, endpoint);
    targets_.push_back(std::move(target));
  }
  limits_.connect_timeout = upstream.limits.connect_timeout;
  limits_.idle_timeout = upstream.limits.idle_timeout;
  limits_.max_idle = upstream.limits.max_idle;
  limits_.max_connections = upstream.limits.max_connections;
  // Workers start at different endpoints, so that few requests are spread too.
  if (const net::Worker* worker = net::Worker::current()) next_ = worker->index();
}

http::ClientStream& UpstreamOrigin::open(const extension::ExchangeInfo& info,
                                         http::Receiver& response) {
  const http::ClientTarget& endpoint = targets_[next_++ % targets_.size()];
  if (!info.http2_upstream || endpoint.protocol == http::ClientProtocol::kHttp2) {
    return pool_.open(endpoint, limits_, response);
  }
  http::ClientTarget http2 = endpoint;
  http2.protocol = http::ClientProtocol::kHttp2;
  return pool_.open(http2, limits_, response);
}

http::Sender& UpstreamOrigin::start(net::Worker& /*worker*/, extension::ExchangeInfo& info,
                                    http::Receiver& response) {
  http::ClientStream& stream = open(info, response);
  info.upstream_address = stream.upstream().remote_address;
  return stream;
}

void UpstreamOrigin::describe(http::Sender& sender, extension::ExchangeInfo& info) {
  const http::UpstreamInfo& upstream = static_cast<http::ClientStream&>(sender).upstream();
  info.upstream_address = upstream.remote_address;
  info.upstream_local_address = upstream.local_address;
  info.upstream_tls = upstream.tls;
}

}  // namespace heddle::gateway
