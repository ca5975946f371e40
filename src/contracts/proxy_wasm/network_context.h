// One TCP connection as one plugin sees it: a NetworkFilter whose callbacks are calls of the guest
// (Proxy-Wasm specification 0.2.1, "TCP streams"; order of events as Envoy 1.40,
// reference/envoy.md, section "Streams").
//
// Belongs to the connection and its worker. The guest's stream context is made with the connection
// and ends with it: on_done, on_log, on_delete. When the VM fails, or could not be had to begin
// with, the plugin's failure policy closes the connection or leaves it to the other filters.
#pragma once

#include <cstdint>
#include <memory>

#include "contracts/proxy_wasm/context.h"
#include "contracts/proxy_wasm/root.h"
#include "extension/network_filter.h"

namespace heddle::proxy_wasm {

// Which callbacks the module exports and `phase:` lets run.
struct NetworkInterest {
  bool new_connection = false;
  bool downstream_data = false;
  bool upstream_data = false;
  bool downstream_close = false;
  bool upstream_close = false;
  bool log = false;

  bool any() const {
    return new_connection || downstream_data || upstream_data || downstream_close || upstream_close;
  }
};

class NetworkContext final : public extension::NetworkFilter, public Context {
 public:
  // `owner` null: the plugin is down, and its policy is not to be open.
  NetworkContext(Version& version, std::shared_ptr<Root> owner, extension::NetworkFilterHost& host,
                 const NetworkInterest& interest);
  ~NetworkContext() override;
  NetworkContext(const NetworkContext&) = delete;
  NetworkContext& operator=(const NetworkContext&) = delete;

  extension::NetworkAction on_new_connection() override;
  extension::NetworkAction on_downstream_data(http::Buffer& data, bool end) override;
  extension::NetworkAction on_upstream_data(http::Buffer& data, bool end) override;
  void on_downstream_close(extension::Peer by) override;
  void on_upstream_close(extension::Peer by) override;

  void on_vm_failed() override;  // Context

 private:
  enum Side : std::uint8_t { kDownstream, kUpstream };
  using CloseFunction = Callbacks::Function<void(Callbacks::Id, std::uint32_t)>;
  using DataFunction =
      Callbacks::Function<std::uint32_t(Callbacks::Id, std::uint32_t, std::uint32_t)>;

  bool ready() {
    return owner_ != nullptr && owner_->alive() && (id != 0 || vm().open(*this, *owner_));
  }
  Vm& vm() const { return owner_->vm(); }
  // Acts for the plugin that cannot.
  extension::NetworkAction fail_over();
  extension::NetworkAction data(Side side, Callback callback, const DataFunction& function,
                                const http::Buffer& bytes, bool end);
  void closed(Callback callback, const CloseFunction& function, extension::Peer by);

  Version& version_;  // the filter's factory keeps it
  std::shared_ptr<Root> owner_;
  const NetworkInterest interest_;
};

}  // namespace heddle::proxy_wasm
