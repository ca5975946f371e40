#include "contracts/proxy_wasm/network_context.h"

#include <optional>
#include <utility>

namespace heddle::proxy_wasm {

using extension::NetworkAction;
using extension::Peer;

NetworkContext::NetworkContext(Version& version, std::shared_ptr<Root> owner,
                               extension::NetworkFilterHost& host, const NetworkInterest& interest)
    : version_(version), owner_(std::move(owner)), interest_(interest) {
  network = &host;
}

NetworkContext::~NetworkContext() {
  if (id != 0) vm().close(*this, interest_.log);
}

NetworkAction NetworkContext::fail_over() {
  if (version_.spec.on_failure == extension::FailurePolicy::kOpen) return NetworkAction::kContinue;
  network->close();
  return NetworkAction::kStop;
}

void NetworkContext::on_vm_failed() {
  if (!paused[kDownstream] && !paused[kUpstream]) return;  // its next callback finds out
  if (fail_over() == NetworkAction::kStop) return;
  if (std::exchange(paused[kDownstream], false)) network->continue_downstream();
  if (std::exchange(paused[kUpstream], false)) network->continue_upstream();
}

// The guest knows of the connection from here on, whether or not it has this callback.
NetworkAction NetworkContext::on_new_connection() {
  if (!ready()) return fail_over();
  if (!interest_.new_connection) return NetworkAction::kContinue;
  const auto result =
      vm().call(Callback::kNewConnection, *this, vm().callbacks().new_connection, id);
  if (!result) return fail_over();
  paused[kDownstream] = *result != 0;
  return paused[kDownstream] ? NetworkAction::kStop : NetworkAction::kContinue;
}

NetworkAction NetworkContext::data(Side side, Callback callback, const DataFunction& function,
                                   const http::Buffer& bytes, bool end) {
  std::optional<std::uint32_t> result;
  if (ready()) {
    result = vm().call(callback, *this, function, id, static_cast<std::uint32_t>(bytes.size()),
                       end ? 1U : 0U);
  }
  if (!result) return fail_over();
  paused.at(side) = *result != 0;
  return *result != 0 ? NetworkAction::kStop : NetworkAction::kContinue;
}

NetworkAction NetworkContext::on_downstream_data(http::Buffer& bytes, bool end) {
  if (owner_ == nullptr) return fail_over();
  if (!interest_.downstream_data) return NetworkAction::kContinue;
  return data(kDownstream, Callback::kDownstreamData, vm().callbacks().downstream_data, bytes, end);
}

NetworkAction NetworkContext::on_upstream_data(http::Buffer& bytes, bool end) {
  if (owner_ == nullptr) return fail_over();
  if (!interest_.upstream_data) return NetworkAction::kContinue;
  return data(kUpstream, Callback::kUpstreamData, vm().callbacks().upstream_data, bytes, end);
}

void NetworkContext::closed(Callback callback, const CloseFunction& function, Peer by) {
  if (ready()) vm().call(callback, *this, function, id, static_cast<std::uint32_t>(by));
}

void NetworkContext::on_downstream_close(Peer by) {
  if (owner_ == nullptr || !interest_.downstream_close) return;
  closed(Callback::kDownstreamClose, vm().callbacks().downstream_close, by);
}

void NetworkContext::on_upstream_close(Peer by) {
  if (owner_ == nullptr || !interest_.upstream_close) return;
  closed(Callback::kUpstreamClose, vm().callbacks().upstream_close, by);
}

}  // namespace heddle::proxy_wasm
