// A root context: one plugin with one configuration in a VM, and what belongs to it there: timer,
// calls under way, queues, properties. A VM has one, or several when plugins share it or routes
// configure the plugin differently (Proxy-Wasm specification 0.2.1, "Context lifecycle"; order of
// events as Envoy 1.40, reference/envoy.md).
//
// Worker thread. Owns its VM together with the VM's other roots; stream contexts own their root.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/proxy_wasm/callbacks.h"
#include "contracts/proxy_wasm/context.h"
#include "contracts/proxy_wasm/grpc_calls.h"
#include "contracts/proxy_wasm/version.h"
#include "contracts/proxy_wasm/vm.h"
#include "extension/foreign_functions.h"
#include "extension/upstream_directory.h"
#include "net/timer.h"

namespace heddle::proxy_wasm {

class Root final : public Context, public std::enable_shared_from_this<Root> {
 public:
  // Who replaces a root whose VM failed. Outlives the root or was told by forget_owner().
  class Owner {
   public:
    virtual void on_root_failed(Root& root) = 0;

   protected:
    ~Owner() = default;
  };

  // How long a root context that answered 0 to on_done may take until it calls proxy_done.
  static constexpr std::chrono::seconds kFarewell{5};

  // In a VM of its own: instantiates, runs the start functions, then does as join(). Without a
  // worker this is a canary: it has no timer, and its calls to upstreams are accepted and never
  // answered.
  static Result<std::shared_ptr<Root>> create(std::shared_ptr<Version> version, net::Worker* worker,
                                              Owner* owner);
  // In a VM that runs already: context_create(root), vm_start and configure.
  static Result<std::shared_ptr<Root>> join(std::shared_ptr<Vm> vm,
                                            std::shared_ptr<Version> version, Owner* owner);
  Root(std::shared_ptr<Vm> vm, std::shared_ptr<Version> version);  // for create() and join()
  ~Root();
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  Vm& vm() const { return *vm_; }
  const std::shared_ptr<Vm>& shared_vm() const { return vm_; }
  Version& version() const { return *version_; }
  const extension::PluginSpec& spec() const { return version_->spec; }
  PluginLog& log() const { return version_->log; }
  PluginStats& stats() const { return version_->stats; }
  net::Worker* worker() const { return vm_->worker(); }
  // Neither its VM nor itself has ended.
  bool alive() const { return !gone_ && !vm_->failed(); }
  bool gone() const { return gone_; }

  // ---- For the owner ----

  void forget_owner() { owner_ = nullptr; }
  // on_done(root), then on_delete(root) at once or, with `wait`, after proxy_done; takes care of
  // its own life. Traps are tolerated.
  void dismantle(bool wait);
  // Its end is near: from now on a trap in it is no error.
  void announce_end() { dismantling_ = true; }
  bool dismantling() const { return dismantling_; }
  bool ticks() const { return tick_period_.count() > 0; }

  // ---- For host functions (within a guest call) ----

  bool configuring() const { return configuring_; }
  void set_tick_period(std::chrono::milliseconds period);
  void proxy_done();

  // Starts an HTTP call (root_calls.cc). kLimit: too many at a time; kNotFound: no such upstream.
  Result<std::uint32_t> http_call(std::string_view upstream, bool permit_address,
                                  extension::CallRequest request);
  GrpcCalls& grpc() { return grpc_; }
  // Whether the current context may start one more call of either kind (outbound_calls).
  Result<void> admit_call();

  std::weak_ptr<services::QueueListener> queue_listener();
  void on_queue_ready(std::uint32_t queue);

  // The way back for a foreign function that the plugin calls; holds the root weakly.
  std::shared_ptr<extension::ForeignReply> foreign_reply(std::uint32_t function);
  void on_foreign_function(std::uint32_t function, const std::string& arguments);

  // set_property on the root context.
  extension::Properties& own_properties() { return own_properties_; }
  // Declared by the plugin (declare_property): whether it is read-only, by raw path.
  std::map<std::string, bool, std::less<>>& declared_properties() { return declared_properties_; }

  void on_vm_failed() override;  // Context

 private:
  struct HttpCall {
    std::uint32_t token;
    std::uint32_t context;  // that made it
    std::unique_ptr<extension::PendingCall> handle;
  };

  Result<void> start();
  template <typename R, typename... Args>
  Result<void> run(Callback callback, const sandbox::GuestFunction<R(Args...)>& function,
                   std::type_identity_t<Args>... args);
  Error refused(Callback callback) const;

  void on_tick();
  void arm_tick();
  void on_call_done(std::uint32_t token, Result<extension::CallResponse> result);
  void finish_farewell();
  // Ends timer, calls and notifications.
  void quieten();

  const std::shared_ptr<Vm> vm_;
  const std::shared_ptr<Version> version_;
  Owner* owner_ = nullptr;
  bool configuring_ = false;
  bool dismantling_ = false;
  bool waits_for_done_ = false;
  bool gone_ = false;

  std::chrono::milliseconds tick_period_{0};
  bool in_tick_ = false;
  net::Timer tick_timer_;
  net::Timer farewell_timer_;

  std::vector<HttpCall> calls_;
  GrpcCalls grpc_{*this};
  std::shared_ptr<services::QueueListener> queue_listener_;

  extension::Properties own_properties_;
  std::map<std::string, bool, std::less<>> declared_properties_;
};

}  // namespace heddle::proxy_wasm
