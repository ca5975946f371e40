// A VM: one instance of a plugin on one worker, with its contexts, timer and calls under way
// (Proxy-Wasm specification 0.2.1; order of events as Envoy 1.40, reference/envoy.md).
//
// Belongs to its worker's thread. Guest calls never nest, except for the guest's allocator: what
// host calls set in motion happens after the callback has returned. A trap makes the VM failed():
// it is never called again, its calls and its timer are cancelled, its contexts and its owner are
// told.
#pragma once

#include <cassert>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/proxy_wasm/abi.h"
#include "contracts/proxy_wasm/callbacks.h"
#include "contracts/proxy_wasm/context.h"
#include "contracts/proxy_wasm/grpc_calls.h"
#include "contracts/proxy_wasm/version.h"
#include "extension/foreign_functions.h"
#include "net/timer.h"
#include "sandbox/instance.h"
#include "services/plugin_metrics.h"

namespace heddle::proxy_wasm {

class Vm final : public sandbox::WasiHost, public std::enable_shared_from_this<Vm> {
 public:
  // Who replaces a VM that failed. Outlives the VM or was told by forget_owner().
  class Owner {
   public:
    virtual void on_vm_failed(Vm& vm) = 0;

   protected:
    ~Owner() = default;
  };

  // How long a root context that answered 0 to on_done may take until it calls proxy_done.
  static constexpr std::chrono::seconds kFarewell{5};

  // Instantiates and runs start, context_create(root), vm_start and configure. Without a worker
  // this is a canary: it has no timer, and its calls to upstreams are accepted and never answered.
  static Result<std::shared_ptr<Vm>> create(std::shared_ptr<Version> version, net::Worker* worker,
                                            Owner* owner);
  explicit Vm(std::shared_ptr<Version> version, net::Worker* worker);  // for create()
  ~Vm() override;
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  Version& version() { return *version_; }
  const extension::PluginSpec& spec() const { return version_->spec; }
  PluginLog& log() { return version_->log; }
  PluginStats& stats() { return version_->stats; }
  const Callbacks& callbacks() const { return callbacks_; }
  sandbox::Instance& instance() { return *instance_; }
  net::Worker* worker() { return worker_; }
  bool failed() const { return failed_; }

  // ---- Stream contexts ----

  // Gives the context an id and makes the guest know it. False: the VM has failed.
  bool open(Context& context);
  // on_done and on_delete, unless the VM has failed; on_log between them `with_log`, as for TCP.
  void close(Context& context, bool with_log = false);

  // Calls the guest on behalf of `context`. Nothing: it trapped, now or before.
  template <typename... Args>
  std::optional<std::uint32_t> call(Callback callback, Context& context,
                                    const sandbox::GuestFunction<std::uint32_t(Args...)>& function,
                                    std::type_identity_t<Args>... args) {
    if (!enter(context)) return std::nullopt;
    auto result = instance_->call(function, args...);
    leave(callback);
    if (!result) [[unlikely]] {
      fail(result.error(), context);
      return std::nullopt;
    }
    return *result;
  }
  template <typename... Args>
  bool call(Callback callback, Context& context,
            const sandbox::GuestFunction<void(Args...)>& function,
            std::type_identity_t<Args>... args) {
    if (!enter(context)) return false;
    auto result = instance_->call(function, args...);
    leave(callback);
    if (!result) [[unlikely]] {
      fail(result.error(), context);
      return false;
    }
    return true;
  }

  // ---- For the owner ----

  void forget_owner() { owner_ = nullptr; }
  // on_done(root), then on_delete(root) at once or, with `wait`, after proxy_done; takes care of
  // its own life. Traps are tolerated.
  void dismantle(bool wait);
  bool ticks() const { return tick_period_.count() > 0; }

  // ---- For host functions (within a guest call) ----

  // The context that host calls act on: the callback's, or the effective one.
  Context& root() { return root_; }
  Context& context() { return effective_ != nullptr ? *effective_ : *current_; }
  bool has_context() const { return current_ != nullptr; }
  extension::FilterHost* http() { return current_ != nullptr ? context().http : nullptr; }
  extension::NetworkFilterHost* network() {
    return current_ != nullptr ? context().network : nullptr;
  }
  std::string_view request_id();
  bool set_effective_context(std::uint32_t id);
  // Within the guest's allocator only logging is allowed (reference/proxy-wasm.md, section 4).
  bool allocating() const { return allocating_; }

  // Memory of the guest for `size` bytes, its address and size stored at the two out parameters.
  // Size 0 asks for nothing and stores zeros. `fill(char*)` writes the bytes.
  template <typename Fill>
  Status give(std::size_t size, sandbox::GuestPtr data_out, sandbox::GuestPtr size_out, Fill fill) {
    char* bytes = nullptr;
    const Status status = allocate(size, data_out, size_out, bytes);
    if (status == Status::kOk && bytes != nullptr) fill(bytes);
    return status;
  }
  Status give(std::string_view bytes, sandbox::GuestPtr data_out, sandbox::GuestPtr size_out);

  void set_tick_period(std::chrono::milliseconds period);
  bool configuring() const { return configuring_; }
  void proxy_done();

  // Starts an HTTP call (vm_calls.cc). kLimit: too many at a time; kNotFound: no such upstream.
  Result<std::uint32_t> http_call(std::string_view upstream, bool permit_address,
                                  extension::CallRequest request);
  // Of the call whose response is being delivered; null at any other time.
  const extension::CallResponse* call_response() const { return response_ ? &*response_ : nullptr; }
  struct CallStatus {
    std::uint32_t code = 0;
    std::string_view message;
  };
  const CallStatus& call_status() const { return call_status_; }
  void set_call_status(const CallStatus& status) { call_status_ = status; }
  GrpcCalls& grpc() { return grpc_; }
  // Whether the current context may start one more call of either kind (outbound_calls).
  Result<void> admit_call();

  std::weak_ptr<services::QueueListener> queue_listener();
  void on_queue_ready(std::uint32_t queue);

  // The way back for a foreign function that this VM calls; holds the VM weakly.
  std::shared_ptr<extension::ForeignReply> foreign_reply(std::uint32_t function);
  void on_foreign_function(std::uint32_t function, std::string arguments);
  // Of the foreign function that is calling back; null at any other time.
  const std::string* foreign_arguments() const {
    return foreign_arguments_ ? &*foreign_arguments_ : nullptr;
  }

  // Metrics that the guest defined, by id; ids count from 0 in order of definition.
  Result<std::uint32_t> define_metric(services::PluginMetricType type, std::string_view name);
  const services::PluginMetric* metric(std::uint32_t id) const {
    return id < metrics_.size() ? metrics_[id].get() : nullptr;
  }

  // set_property on the root context.
  extension::Properties& root_properties() { return root_properties_; }
  // Declared by the plugin (declare_property): whether it is read-only, by raw path.
  std::map<std::string, bool, std::less<>>& declared_properties() { return declared_properties_; }
  std::string& scratch() { return scratch_; }

  // Once for each VM: something that this version of Heddle does not have.
  void warn_once(std::string_view what);

  void write(int fd, std::string_view bytes) override;  // WasiHost

 private:
  class RootContext final : public Context {
   public:
    void on_vm_failed() override {}
  };
  struct HttpCall {
    std::uint32_t token;
    std::uint32_t context;  // that made it
    std::unique_ptr<extension::PendingCall> handle;
  };

  bool enter(Context& context) {
    if (failed_) return false;
    assert(current_ == nullptr && "guest calls do not nest");
    current_ = &context;
    effective_ = nullptr;
    context.replied = false;
    return true;
  }
  void leave(Callback callback) {
    current_ = effective_ = nullptr;
    account(callback);
  }
  void account(Callback callback);
  void fail(const sandbox::Trap& trap, Context& context);
  Status allocate(std::size_t size, sandbox::GuestPtr data_out, sandbox::GuestPtr size_out,
                  char*& bytes);

  Result<void> start();
  Result<void> run_start_functions();
  Result<void> start_root();
  template <typename Function, typename... Args>
  Result<void> run_start(const Function& function, Args... args);
  template <typename R, typename... Args>
  Result<std::uint32_t> run_root(Callback callback,
                                 const sandbox::GuestFunction<R(Args...)>& function,
                                 std::type_identity_t<Args>... args);
  Error start_error(const sandbox::Trap& trap) const;
  Error refused(Callback callback) const;

  void on_tick();
  void arm_tick();
  void on_call_done(std::uint32_t token, Result<extension::CallResponse> result);
  void finish_farewell();

  std::shared_ptr<Version> version_;
  net::Worker* worker_;  // null: canary
  Owner* owner_ = nullptr;
  std::unique_ptr<sandbox::Instance> instance_;
  Callbacks callbacks_;
  RootContext root_;
  ContextTable contexts_;
  std::uint32_t next_id_ = 1;
  Context* current_ = nullptr;
  Context* effective_ = nullptr;
  bool allocating_ = false;
  bool failed_ = false;
  bool configuring_ = false;
  bool dismantling_ = false;
  bool waits_for_done_ = false;
  bool warned_ = false;

  std::int64_t cpu_nanoseconds_ = 0;  // not yet in the metric
  std::size_t memory_bytes_ = 0;      // as in the metric
  std::uint64_t denied_growths_ = 0;

  std::chrono::milliseconds tick_period_{0};
  bool in_tick_ = false;
  net::Timer tick_timer_;
  net::Timer farewell_timer_;

  std::vector<HttpCall> calls_;
  std::uint32_t next_http_token_ =
      4;  // 4, 8, 12, ...: Envoy keeps the low bits for the kind of call
  std::optional<extension::CallResponse> response_;
  GrpcCalls grpc_{*this};
  CallStatus call_status_;
  std::shared_ptr<services::QueueListener> queue_listener_;
  std::optional<std::string> foreign_arguments_;

  std::vector<std::shared_ptr<const services::PluginMetric>> metrics_;
  std::map<std::string, std::uint32_t, std::less<>> metric_ids_;
  extension::Properties root_properties_;
  std::map<std::string, bool, std::less<>> declared_properties_;
  std::string scratch_;
};

}  // namespace heddle::proxy_wasm
