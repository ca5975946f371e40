#include "gateway/upstream_endpoint.h"

#include <utility>

#include "net/address.h"

namespace heddle::gateway {
namespace {

http::ClientProtocol protocol_of(const config::Upstream& upstream) {
  if (upstream.protocol == "http2" || upstream.protocol == "h2")
    return http::ClientProtocol::kHttp2;
  return upstream.protocol == "auto" ? http::ClientProtocol::kAuto : http::ClientProtocol::kHttp1;
}

std::string server_name(const config::Upstream& upstream, const std::string& host) {
  if (!upstream.tls.server_name.empty()) return upstream.tls.server_name;
  const auto parsed = net::parse_host_port(host);
  return parsed ? parsed->host : std::string();
}

}  // namespace

EndpointState::EndpointState(const std::string& upstream, std::string address,
                             metrics::Registry& metrics)
    : active(metrics.gauge("heddle_upstream_endpoint_requests_active",
                           "Requests an endpoint is serving",
                           {{"upstream", upstream}, {"endpoint", address}})),
      failures(metrics.counter("heddle_upstream_endpoint_failures_total",
                               "Requests that an endpoint answered with 5xx or not at all",
                               {{"upstream", upstream}, {"endpoint", address}})),
      ejections(metrics.counter("heddle_upstream_ejections_total",
                                "How often an endpoint was left out since requests to it failed",
                                {{"upstream", upstream}, {"endpoint", address}})),
      address_(std::move(address)),
      healthy_(metrics.gauge("heddle_upstream_endpoint_healthy",
                             "1 while an endpoint is used, 0 while it is unhealthy or ejected",
                             {{"upstream", upstream}, {"endpoint", address_}})) {
  healthy_->set(1);
}

EndpointState::~EndpointState() = default;

bool EndpointState::add(Fault fault) {
  const bool changed = (faults_.fetch_or(fault) & fault) == 0;
  if (changed) show();
  return changed;
}

bool EndpointState::remove(Fault fault) {
  const bool changed = (faults_.fetch_and(static_cast<std::uint8_t>(~fault)) & fault) != 0;
  if (changed) show();
  return changed;
}

void EndpointState::show() {
  healthy_->set(usable() ? 1 : 0);
}

http::ClientTarget make_target(const config::Upstream& upstream,
                               std::shared_ptr<const net::TlsClientContext> tls,
                               const std::string& address, const std::string& host) {
  http::ClientTarget out{
      .endpoint = address, .protocol = protocol_of(upstream), .tls = std::move(tls)};
  if (out.tls != nullptr) out.server_name = server_name(upstream, host);
  return out;
}

}  // namespace heddle::gateway
