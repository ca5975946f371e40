// A VM: one instance of a plugin version on one worker, with its root context, stream contexts, timer and calls.
//
// Belongs to its worker. Streams hold it by shared_ptr, so that a VM that failed stays until the last of them is gone. Guest
// calls never nest except into the guest's allocator; what a guest asks for is done by others after it returned
// (FilterHost defers). A canary is a VM without a worker: it starts and configures, and nothing it asks for happens.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "contracts/pw/abi.h"
#include "contracts/pw/plugin_code.h"
#include "contracts/pw/plugin_log.h"
#include "extension/upstream_directory.h"
#include "net/timer.h"
#include "sandbox/instance.h"
#include "services/shared_queue.h"

namespace heddle::net {
class Worker;
}

namespace heddle::proxy_wasm {

class HttpContext;

class Vm final : public sandbox::WasiHost, public std::enable_shared_from_this<Vm> {
 public:
  template <typename Signature>
  using Function = sandbox::GuestFunction<Signature>;
  using Context = std::uint32_t;

  // The exported callbacks; empty where the module has none.
  struct Functions {
    Function<std::uint32_t(std::uint32_t)> allocate;
    Function<void(Context, Context)> context_create;
    Function<std::uint32_t(Context, std::uint32_t)> vm_start;
    Function<std::uint32_t(Context, std::uint32_t)> configure;
    Function<void(Context)> tick;
    Function<std::uint32_t(Context)> done;
    Function<void(Context)> log;
    Function<void(Context)> remove;
    Function<std::uint32_t(Context, std::uint32_t, std::uint32_t)> request_headers;
    Function<std::uint32_t(Context, std::uint32_t)> request_headers_0_1;
    Function<std::uint32_t(Context, std::uint32_t, std::uint32_t)> request_body;
    Function<std::uint32_t(Context, std::uint32_t)> request_trailers;
    Function<std::uint32_t(Context, std::uint32_t, std::uint32_t)> response_headers;
    Function<std::uint32_t(Context, std::uint32_t)> response_headers_0_1;
    Function<std::uint32_t(Context, std::uint32_t, std::uint32_t)> response_body;
    Function<std::uint32_t(Context, std::uint32_t)> response_trailers;
    Function<void(Context, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t)> http_call_response;
    Function<void(Context, std::uint32_t)> queue_ready;
  };

  // Instantiates, starts, creates the root context and configures. `worker` null: a canary. The error says what failed.
  static Result<std::shared_ptr<Vm>> start(std::shared_ptr<const PluginCode> code, net::Worker* worker);
  ~Vm() override;

  const PluginCode& code() const { return *code_; }
  net::Worker* worker() const { return worker_; }
  sandbox::Instance& instance() { return *instance_; }
  const Functions& functions() const { return functions_; }
  PluginLog& log() { return log_; }
  bool failed() const { return failed_; }

  // Calls a callback on behalf of `stream` (null: the root context). Nothing when it trapped; the VM has failed then.
  template <typename R, typename... Args>
  auto call(Callback callback, const Function<R(Args...)>& function, HttpContext* stream,
            std::type_identity_t<Args>... args) {
    const Entry entry(*this, callback, stream);
    auto result = instance_->call(function, args...);
    if constexpr (std::is_void_v<R>) {
      if (!result) fail(callback, result.error());
      return result.has_value();
    } else {
      if (!result) fail(callback, result.error());
      return result ? std::optional<R>(*result) : std::nullopt;
    }
  }

  // ---- contexts
  Context add(HttpContext& stream);
  void remove(Context id) { streams_.erase(id); }
  HttpContext* find(Context id) const;

  // The stream that host calls act on; null: the root context.
  HttpContext* effective() const { return effective_; }
  Status set_effective(Context id);
  Callback running() const { return running_; }
  std::string_view request_id() const;

  // ---- host calls that concern the whole VM
  // A copy in guest memory made by the guest's allocator; false when it trapped or returned nonsense.
  bool give(std::string_view bytes, std::uint32_t pointer_out, std::uint32_t size_out);
  bool give(std::size_t size, std::uint32_t pointer_out, std::uint32_t size_out,
            const std::function<void(char*)>& fill);
  bool allocating() const { return allocating_; }
  void set_tick(std::chrono::milliseconds period);
  Result<std::uint32_t> http_call(std::string_view upstream, bool permit_address, extension::CallRequest request,
                                  HttpContext* stream);
  // Of the call whose response is being delivered; null at any other time.
  const extension::CallResponse* call_response() const { return delivered_; }
  Result<std::uint32_t> register_queue(std::string_view name);
  Status done();

  std::uint32_t define_metric(std::shared_ptr<const services::PluginMetric> metric);
  const services::PluginMetric* metric(std::uint32_t id) const {
    return id < metrics_.size() ? metrics_[id].get() : nullptr;
  }
  std::map<std::string, std::string, std::less<>>& root_properties() { return root_properties_; }

  // proxy_on_done and proxy_on_delete of the root context; waits for proxy_done up to kDoneTimeout. Worker thread; the
  // VM keeps itself alive until then.
  void shut_down();

  // WasiHost
  void write(int fd, std::string_view bytes) override;

  static constexpr std::chrono::seconds kDoneTimeout{5};
  static constexpr std::size_t kRootCalls = 64;  // outstanding calls of no exchange

 private:
  // Sets and restores what a guest call sees.
  class Entry {
   public:
    Entry(Vm& vm, Callback callback, HttpContext* stream);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    Vm& vm_;
    Callback callback_;
    HttpContext* previous_;
    Callback previous_callback_;
    bool outermost_;
  };
  // Told of items on whatever thread adds them; posts on_queue_ready to the VM's worker.
  struct QueueRelay final : services::QueueListener {
    void on_item(std::uint32_t queue) override;
    net::Worker* worker = nullptr;
    std::weak_ptr<Vm> vm;
  };
  struct Call {
    std::unique_ptr<extension::PendingCall> pending;
    Context stream = 0;
  };

  Vm(std::shared_ptr<const PluginCode> code, net::Worker* worker);
  Result<void> instantiate();
  Result<void> find_functions();
  Result<void> run_start();
  Result<void> run_configuration();
  void fail(Callback callback, const sandbox::Trap& trap);
  void deliver(std::uint32_t token, Result<extension::CallResponse> response);
  void run_tick();
  void delete_root();
  void account_memory();
  Result<void> trap_error(std::string_view what);

  std::shared_ptr<const PluginCode> code_;
  net::Worker* worker_;
  std::unique_ptr<sandbox::Instance> instance_;
  Functions functions_;
  PluginLog log_;
  std::unordered_map<Context, HttpContext*> streams_;
  Context next_context_ = kRootContext + 1;
  HttpContext* effective_ = nullptr;
  Callback running_ = Callback::kStart;
  bool allocating_ = false;
  bool failed_ = false;
  bool shutting_down_ = false;
  bool done_pending_ = false;
  std::string trap_text_;

  std::vector<std::shared_ptr<const services::PluginMetric>> metrics_;
  std::map<std::string, std::string, std::less<>> root_properties_;

  std::shared_ptr<QueueRelay> relay_;
  net::Timer tick_;
  std::chrono::milliseconds tick_period_{0};
  net::Timer done_timeout_;
  std::shared_ptr<Vm> keep_;  // itself, while it waits for proxy_done

  std::unordered_map<std::uint32_t, Call> calls_;
  std::uint32_t next_token_ = 0;
  const extension::CallResponse* delivered_ = nullptr;

  std::int64_t accounted_memory_ = 0;
  std::int64_t spent_nanoseconds_ = 0;  // not yet in the counter, which counts microseconds
};

}  // namespace heddle::proxy_wasm
