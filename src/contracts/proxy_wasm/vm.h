// A VM: one instance of a module on one worker, with its contexts (Proxy-Wasm specification 0.2.1).
// Its plugins are its root contexts (root.h): one, or those that share it.
//
// Belongs to its worker's thread. Guest calls never nest, except for the guest's allocator: what
// host calls set in motion happens after the callback has returned. A trap makes the VM failed():
// it is never called again, and all its contexts are told.
#pragma once

#include <cassert>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contracts/proxy_wasm/abi.h"
#include "contracts/proxy_wasm/callbacks.h"
#include "contracts/proxy_wasm/context.h"
#include "contracts/proxy_wasm/version.h"
#include "extension/upstream_directory.h"
#include "sandbox/instance.h"
#include "services/plugin_metrics.h"

namespace heddle::proxy_wasm {

class Root;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

class Vm final : public sandbox::WasiHost {
 public:
  // `version`: the plugin that needs the VM first. The worker is null for a canary.
  Vm(std::shared_ptr<Version> version, net::Worker* worker);
  ~Vm() override;
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  // Instantiates and runs the start functions, on behalf of the VM's first root.
  Result<void> start(Root& first);

  const Callbacks& callbacks() const { return callbacks_; }
  sandbox::Instance& instance() { return *running_; }
  // False while the module is instantiated; its start section may log meanwhile.
  bool instantiated() const { return instance_ != nullptr; }
  void adopt(sandbox::Instance& instance) { running_ = &instance; }
  net::Worker* worker() const { return worker_; }
  bool failed() const { return failed_; }

  // ---- Contexts ----

  // A root context gets its id, and its memory_limit becomes the VM's if it is the larger one.
  void add(Root& root);
  void remove(Root& root);
  // Gives the stream context an id and makes the guest know it. False: the VM has failed.
  bool open(Context& context, Root& root);
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
  // The same for a root that is starting, under the limits of starting.
  template <typename R, typename... Args>
  sandbox::GuestResult<R> call_to_start(Callback callback, Root& root,
                                        const sandbox::GuestFunction<R(Args...)>& function,
                                        std::type_identity_t<Args>... args) {
    enter_to_start(root);
    auto result = instance_->call(function, args...);
    leave(callback);
    return result;
  }
  // What it reports of a trap, unless proc_exit(0) ended a start function well.
  Error start_failed(const sandbox::Trap& trap, Root& root);

  // ---- For host functions (within a guest call) ----

  // The context that host calls act on: the callback's, or the effective one; and its root.
  Context& context() { return effective_ != nullptr ? *effective_ : *current_; }
  bool has_context() const { return current_ != nullptr; }
  Root& root();
  // Of the plugin whose root that is.
  Version& version();
  const extension::PluginSpec& spec() { return version().spec; }
  PluginLog& log() { return version().log; }
  PluginStats& stats() { return version().stats; }
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

  // What the running callback is about; null when it is about something else.
  const extension::CallResponse* call_response() const { return call_response_; }
  void show_call_response(const extension::CallResponse* response) { call_response_ = response; }
  const std::string* foreign_arguments() const { return foreign_arguments_; }
  void show_foreign_arguments(const std::string* arguments) { foreign_arguments_ = arguments; }
  struct CallStatus {
    std::uint32_t code = 0;
    std::string_view message;
  };
  const CallStatus& call_status() const { return call_status_; }
  void set_call_status(const CallStatus& status) { call_status_ = status; }

  // Tokens are unique in the VM, because SDKs keep one table of them. The low two bits are the kind
  // of the call, as in Envoy.
  enum class TokenKind : std::uint8_t { kHttp = 0, kGrpcCall = 1, kGrpcStream = 2 };
  std::uint32_t next_token(TokenKind kind) const {
    return tokens_.at(static_cast<std::size_t>(kind));
  }
  void use_token(TokenKind kind);

  // Metrics that the guest defined, by id; ids count from 0 in order of definition.
  Result<std::uint32_t> define_metric(services::PluginMetricType type, std::string_view name);
  const services::PluginMetric* metric(std::uint32_t id) const {
    return id < metrics_.size() ? metrics_[id].get() : nullptr;
  }

  std::string& scratch() { return scratch_; }

  // Once for each VM: something that its plugins do not get.
  void warn_once(std::string_view what);

  void write(sandbox::Instance& instance, int fd, std::string_view bytes) override;  // WasiHost

 private:
  bool enter(Context& context);
  void enter_to_start(Root& root);
  void leave(Callback callback) {
    const Context& ran = *std::exchange(current_, nullptr);
    effective_ = nullptr;
    account(callback, *ran.root);
  }
  void account(Callback callback, const Root& root);
  void account_times(PluginStats& stats);
  void account_memory(PluginStats& stats);
  void fail(const sandbox::Trap& trap, Context& context);
  Status allocate(std::size_t size, sandbox::GuestPtr data_out, sandbox::GuestPtr size_out,
                  char*& bytes);
  void tell_failure(const Root& culprit);
  void apply(sandbox::Limits limits);
  bool has_root_with(const PluginStats& stats) const;
  // The statistics of its plugins, each once.
  template <typename Visit>
  void each_stats(Visit visit) const;

  template <typename R, typename... Args>
  Result<void> run_start(Root& first, const sandbox::GuestFunction<R(Args...)>& function,
                         std::type_identity_t<Args>... args);

  std::shared_ptr<Version> version_;  // of the first root
  net::Worker* worker_;               // null: canary
  std::unique_ptr<sandbox::Instance> instance_;
  sandbox::Instance* running_ = nullptr;  // the same, also while it is made
  Callbacks callbacks_;
  std::vector<Root*> roots_;  // each removes itself; together they own this VM
  ContextTable contexts_;
  std::uint32_t next_id_ = 1;
  Context* current_ = nullptr;
  Context* effective_ = nullptr;
  const Version* limits_of_ = nullptr;  // whose limits the instance has
  std::size_t memory_limit_ = 0;
  bool allocating_ = false;
  bool failed_ = false;
  bool warned_ = false;

  std::uint32_t all_timed_ = 0;   // calls, all of which were
  std::size_t memory_bytes_ = 0;  // as in the metric
  std::uint64_t growths_ = 0;     // as accounted for

  std::array<std::uint32_t, 3> tokens_ = {4, 5, 6};  // the next of each kind
  const extension::CallResponse* call_response_ = nullptr;
  const std::string* foreign_arguments_ = nullptr;
  CallStatus call_status_;

  std::vector<std::shared_ptr<const services::PluginMetric>> metrics_;
  std::map<std::pair<std::string, std::string>, std::uint32_t> metric_ids_;  // by plugin and name
  std::string scratch_;
};

}  // namespace heddle::proxy_wasm
