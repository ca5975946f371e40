// What reaches a root context beside the streams: ticks, answers to its HTTP calls, items of
// its queues, foreign functions that complete later.
#include <algorithm>
#include <string>
#include <utility>

#include "contracts/proxy_wasm/root.h"
#include "net/worker.h"

namespace heddle::proxy_wasm {

namespace {

constexpr std::uint32_t kBrokenConnection = 11;

// Lives as long as the root; the queues hold it weakly. Items are added on any thread.
class Bell final : public services::QueueListener {
 public:
  Bell(net::Worker& worker, std::weak_ptr<Root> root) : worker_(worker), root_(std::move(root)) {}

  void on_item(std::uint32_t queue) override {
    // The root is looked up on its own worker: elsewhere this reference could become the last one.
    worker_.post([root = root_, queue] {
      if (const auto alive = root.lock()) alive->on_queue_ready(queue);
    });
  }

 private:
  net::Worker& worker_;
  std::weak_ptr<Root> root_;
};

// What a foreign function keeps; it may be used, and destroyed, on any thread.
class Reply final : public extension::ForeignReply {
 public:
  Reply(net::Worker* worker, std::weak_ptr<Root> root, std::uint32_t function)
      : worker_(worker), root_(std::move(root)), function_(function) {}

  void send(std::string bytes) override {
    if (worker_ == nullptr) return;  // a canary hears nothing
    worker_->post([root = root_, function = function_, bytes = std::move(bytes)] {
      if (const auto alive = root.lock()) alive->on_foreign_function(function, bytes);
    });
  }

 private:
  net::Worker* worker_;
  std::weak_ptr<Root> root_;
  std::uint32_t function_;
};

std::uint32_t count_of(const http::HeadPtr& head) {
  return head != nullptr ? static_cast<std::uint32_t>(head->headers.size()) : 0;
}

}  // namespace

void Root::set_tick_period(std::chrono::milliseconds period) {
  tick_period_ = period;
  if (worker() == nullptr || !vm_->callbacks().tick) return;
  tick_timer_.cancel();
  if (!in_tick_) arm_tick();
}

void Root::arm_tick() {
  if (tick_period_.count() == 0 || !alive()) return;
  tick_timer_.arm(worker()->timers(), tick_period_, [this] { on_tick(); });
}

void Root::on_tick() {
  const auto self = shared_from_this();  // a trap takes it from its owner
  in_tick_ = true;
  vm_->call(Callback::kTick, *this, vm_->callbacks().tick, id);
  in_tick_ = false;
  arm_tick();
}

Result<void> Root::admit_call() {
  const std::uint32_t caller = vm_->context().id;
  const std::size_t under_way =
      static_cast<std::size_t>(std::ranges::count(calls_, caller, &HttpCall::context)) +
      grpc_.under_way(caller);
  if (under_way < spec().outbound_calls) return {};
  stats().limit_hit(Limit::kOutboundCalls);
  return heddle::fail(ErrorKind::kLimit, "outbound_calls: " + std::to_string(under_way) +
                                             " calls are under way already");
}

Result<std::uint32_t> Root::http_call(std::string_view upstream, bool permit_address,
                                      extension::CallRequest request) {
  if (auto admitted = admit_call(); !admitted) return std::unexpected(admitted.error());
  const std::uint32_t token = vm_->next_token(Vm::TokenKind::kHttp);
  if (worker() != nullptr) {
    if (version_->services.upstreams == nullptr) {
      return heddle::fail(ErrorKind::kUnavailable, "there are no upstreams here");
    }
    auto handle =
        version_->services.upstreams->call(*worker(), upstream, permit_address, std::move(request),
                                           [this, token](Result<extension::CallResponse> result) {
                                             on_call_done(token, std::move(result));
                                           });
    if (!handle) return std::unexpected(std::move(handle.error()));
    calls_.push_back({token, vm_->context().id, std::move(*handle)});
  }
  vm_->use_token(Vm::TokenKind::kHttp);
  return token;
}

void Root::on_call_done(std::uint32_t token, Result<extension::CallResponse> result) {
  const auto found = std::ranges::find(calls_, token, &HttpCall::token);
  if (found == calls_.end()) return;
  const auto self = shared_from_this();
  const HttpCall ended = std::move(*found);
  calls_.erase(found);
  if (!vm_->callbacks().http_call_response) return;
  std::uint32_t headers = 0;
  std::uint32_t body = 0;
  std::uint32_t trailers = 0;
  if (result) {
    headers = count_of(result->head);
    body = static_cast<std::uint32_t>(result->body.size());
    trailers = count_of(result->trailers);
    vm_->show_call_response(&*result);
  } else {
    log().write(LogLevel::kWarn, "a call of the plugin to an upstream failed", {}, "error",
                result.error().message);
    vm_->set_call_status({kBrokenConnection, "reset"});
  }
  vm_->call(Callback::kHttpCallResponse, *this, vm_->callbacks().http_call_response, id, token,
            headers, body, trailers);
  vm_->show_call_response(nullptr);
  vm_->set_call_status({});
}

std::weak_ptr<services::QueueListener> Root::queue_listener() {
  if (queue_listener_ == nullptr && worker() != nullptr) {
    queue_listener_ = std::make_shared<Bell>(*worker(), weak_from_this());
  }
  return queue_listener_;
}

void Root::on_queue_ready(std::uint32_t queue) {
  const Callbacks& callbacks = vm_->callbacks();
  if (!alive() || !callbacks.queue_ready) return;
  vm_->call(Callback::kQueueReady, *this, callbacks.queue_ready, id, queue);
}

std::shared_ptr<extension::ForeignReply> Root::foreign_reply(std::uint32_t function) {
  return std::make_shared<Reply>(worker(), weak_from_this(), function);
}

void Root::on_foreign_function(std::uint32_t function, const std::string& arguments) {
  const Callbacks& callbacks = vm_->callbacks();
  if (!alive() || !callbacks.foreign_function) return;
  const auto self = shared_from_this();
  const auto size = static_cast<std::uint32_t>(arguments.size());
  vm_->show_foreign_arguments(&arguments);
  vm_->call(Callback::kForeignFunction, *this, callbacks.foreign_function, id, function, size);
  vm_->show_foreign_arguments(nullptr);
}

}  // namespace heddle::proxy_wasm
