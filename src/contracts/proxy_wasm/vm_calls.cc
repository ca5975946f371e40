// What reaches a VM's root context beside the streams: ticks, answers to its HTTP calls, items of
// its queues, foreign functions that complete later.
#include <algorithm>
#include <string>
#include <utility>

#include "contracts/proxy_wasm/vm.h"
#include "net/worker.h"

namespace heddle::proxy_wasm {

namespace {

constexpr std::uint32_t kTokenStep = 4;
constexpr std::uint32_t kBrokenConnection = 11;

// Lives as long as the VM; the queues hold it weakly. Items are added on any thread.
class Bell final : public services::QueueListener {
 public:
  Bell(net::Worker& worker, std::weak_ptr<Vm> vm) : worker_(worker), vm_(std::move(vm)) {}

  void on_item(std::uint32_t queue) override {
    // The VM is looked up on its own worker: elsewhere this reference could become the last one.
    worker_.post([vm = vm_, queue] {
      if (const auto alive = vm.lock()) alive->on_queue_ready(queue);
    });
  }

 private:
  net::Worker& worker_;
  std::weak_ptr<Vm> vm_;
};

// What a foreign function keeps; it may be used, and destroyed, on any thread.
class Reply final : public extension::ForeignReply {
 public:
  Reply(net::Worker* worker, std::weak_ptr<Vm> vm, std::uint32_t function)
      : worker_(worker), vm_(std::move(vm)), function_(function) {}

  void send(std::string bytes) override {
    if (worker_ == nullptr) return;  // a canary hears nothing
    worker_->post([vm = vm_, function = function_, bytes = std::move(bytes)]() mutable {
      if (const auto alive = vm.lock()) alive->on_foreign_function(function, std::move(bytes));
    });
  }

 private:
  net::Worker* worker_;
  std::weak_ptr<Vm> vm_;
  std::uint32_t function_;
};

std::uint32_t count_of(const http::HeadPtr& head) {
  return head != nullptr ? static_cast<std::uint32_t>(head->headers.size()) : 0;
}

}  // namespace

void Vm::set_tick_period(std::chrono::milliseconds period) {
  tick_period_ = period;
  if (worker_ == nullptr || !callbacks_.tick) return;
  tick_timer_.cancel();
  if (!in_tick_) arm_tick();
}

void Vm::arm_tick() {
  if (tick_period_.count() == 0 || failed_) return;
  tick_timer_.arm(worker_->timers(), tick_period_, [this] { on_tick(); });
}

void Vm::on_tick() {
  const auto self = shared_from_this();  // a trap takes it from its owner
  in_tick_ = true;
  call(Callback::kTick, root_, callbacks_.tick, root_.id);
  in_tick_ = false;
  arm_tick();
}

Result<void> Vm::admit_call() {
  const std::uint32_t caller = context().id;
  const std::size_t under_way =
      static_cast<std::size_t>(std::ranges::count(calls_, caller, &HttpCall::context)) +
      grpc_.under_way(caller);
  if (under_way < spec().outbound_calls) return {};
  stats().limit_hit(Limit::kOutboundCalls);
  return heddle::fail(ErrorKind::kLimit, "outbound_calls: " + std::to_string(under_way) +
                                             " calls are under way already");
}

Result<std::uint32_t> Vm::http_call(std::string_view upstream, bool permit_address,
                                    extension::CallRequest request) {
  if (auto admitted = admit_call(); !admitted) return std::unexpected(admitted.error());
  const std::uint32_t token = next_http_token_;
  if (worker_ != nullptr) {
    if (version_->services.upstreams == nullptr) {
      return heddle::fail(ErrorKind::kUnavailable, "there are no upstreams here");
    }
    auto handle =
        version_->services.upstreams->call(*worker_, upstream, permit_address, std::move(request),
                                           [this, token](Result<extension::CallResponse> result) {
                                             on_call_done(token, std::move(result));
                                           });
    if (!handle) return std::unexpected(std::move(handle.error()));
    calls_.push_back({token, context().id, std::move(*handle)});
  }
  next_http_token_ += kTokenStep;
  return token;
}

void Vm::on_call_done(std::uint32_t token, Result<extension::CallResponse> result) {
  const auto found = std::ranges::find(calls_, token, &HttpCall::token);
  if (found == calls_.end()) return;
  const auto self = shared_from_this();
  const HttpCall ended = std::move(*found);
  calls_.erase(found);
  if (!callbacks_.http_call_response) return;
  std::uint32_t headers = 0;
  std::uint32_t body = 0;
  std::uint32_t trailers = 0;
  if (result) {
    response_ = std::move(*result);
    headers = count_of(response_->head);
    body = static_cast<std::uint32_t>(response_->body.size());
    trailers = count_of(response_->trailers);
  } else {
    log().write(LogLevel::kWarn, "a call of the plugin to an upstream failed", {}, "error",
                result.error().message);
    call_status_ = {kBrokenConnection, "reset"};
  }
  call(Callback::kHttpCallResponse, root_, callbacks_.http_call_response, root_.id, token, headers,
       body, trailers);
  response_.reset();
  call_status_ = {};
}

std::weak_ptr<services::QueueListener> Vm::queue_listener() {
  if (queue_listener_ == nullptr && worker_ != nullptr) {
    queue_listener_ = std::make_shared<Bell>(*worker_, weak_from_this());
  }
  return queue_listener_;
}

void Vm::on_queue_ready(std::uint32_t queue) {
  if (failed_ || !callbacks_.queue_ready) return;
  call(Callback::kQueueReady, root_, callbacks_.queue_ready, root_.id, queue);
}

std::shared_ptr<extension::ForeignReply> Vm::foreign_reply(std::uint32_t function) {
  return std::make_shared<Reply>(worker_, weak_from_this(), function);
}

void Vm::on_foreign_function(std::uint32_t function, std::string arguments) {
  if (failed_ || !callbacks_.foreign_function) return;
  const auto self = shared_from_this();
  const auto size = static_cast<std::uint32_t>(arguments.size());
  foreign_arguments_ = std::move(arguments);
  call(Callback::kForeignFunction, root_, callbacks_.foreign_function, root_.id, function, size);
  foreign_arguments_.reset();
}

}  // namespace heddle::proxy_wasm
