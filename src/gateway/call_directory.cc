#include "gateway/call_directory.h"

#include <string>
#include <utility>

#include "net/timer.h"
#include "net/worker.h"

namespace heddle::gateway {
namespace {

using extension::CallRequest;
using extension::CallResponse;
using http::StreamError;

constexpr std::chrono::milliseconds kDefaultTimeout{60'000};

// The answers that Envoy gives a plugin for an upstream that fails (reference/envoy.md, Callouts).
constexpr std::string_view kDisconnected =
    "upstream connect error or disconnect/reset before headers. reset reason: connection "
    "termination";
constexpr std::string_view kTimedOut = "upstream request timeout";

CallResponse synthetic(int status, std::string_view body) {
  CallResponse out;
  out.head = http::make_head();
  out.head->headers.add(":status", std::to_string(status));
  out.head->headers.add("content-length", std::to_string(body.size()));
  out.head->headers.add("content-type", "text/plain");
  out.body.append(body);
  return out;
}

class Call final : public extension::PendingCall, public http::Receiver {
 public:
  Call(GatewayWorker& gateway, std::shared_ptr<BoundSnapshot> bound, std::string_view upstream,
       std::move_only_function<void(Result<CallResponse>)> done)
      : gateway_(gateway), bound_(std::move(bound)), upstream_(upstream), done_(std::move(done)) {}

  ~Call() override {
    if (sender_ != nullptr) sender_->reset(StreamError::kCancelled);
  }

  void start(extension::HttpOrigin& origin, const CallRequest& request) {
    send(origin.start(gateway_.worker(), info_, *this), request);
  }
  void start(http::Sender& sender, const CallRequest& request) { send(sender, request); }

  void on_informational(http::HeadPtr /*head*/) override {}

  void on_head(http::HeadPtr head, bool end) override {
    response_.head = std::move(head);
    ended_ = end;
  }

  void on_data(http::Buffer& data, bool end) override {
    response_.body.append(std::move(data));
    ended_ = end;
    if (response_.body.size() > CallDirectory::kMaxResponseBytes) {
      give_up(fail(ErrorKind::kLimit, "the answer is larger than " +
                                          std::to_string(CallDirectory::kMaxResponseBytes) +
                                          " bytes"));
    }
  }

  void on_trailers(http::HeadPtr trailers) override {
    response_.trailers = std::move(trailers);
    ended_ = true;
  }

  void on_reset(StreamError error, std::string_view detail) override {
    sender_ = nullptr;
    if (!ended_) {
      gateway_.log().warn(
          "a plugin's call to an upstream failed",
          {{"upstream", upstream_}, {"error", to_string(error)}, {"detail", detail}});
    }
    if (ended_) {
      finish(std::move(response_));
    } else if (error == StreamError::kTimeout || error == StreamError::kConnectTimeout) {
      finish(synthetic(504, kTimedOut));
    } else if (response_.head == nullptr) {
      finish(synthetic(503, kDisconnected));
    } else {
      finish(fail(ErrorKind::kUnavailable,
                  "the upstream broke off its answer: " +
                      std::string(detail.empty() ? to_string(error) : detail)));
    }
  }

  void on_writable() override {}

  void on_complete() override {
    sender_ = nullptr;
    finish(std::move(response_));
  }

 private:
  void send(http::Sender& sender, const CallRequest& request) {
    sender_ = &sender;
    const auto timeout = request.timeout.count() > 0 ? request.timeout : kDefaultTimeout;
    timer_.arm(gateway_.worker().timers(), timeout, [this] {
      const net::Worker::Scope scope(gateway_.worker());
      give_up(synthetic(504, kTimedOut));
    });
    http::HeadPtr head = http::make_head();
    for (const auto& [name, value] : request.headers) head->headers.add(name, value);
    const bool trailers = !request.trailers.empty();
    if (!request.body.empty() && !trailers) {
      head->headers.set("content-length", std::to_string(request.body.size()));
    }
    const bool body = !request.body.empty();
    sender.send_head(head->headers, !body && !trailers);
    if (body) {
      http::Buffer bytes;
      bytes.append(request.body);
      sender.send_data(std::move(bytes), !trailers);
    }
    if (trailers) {
      http::HeadPtr tail = http::make_head();
      for (const auto& [name, value] : request.trailers) tail->headers.add(name, value);
      sender.send_trailers(tail->headers);
    }
  }

  void give_up(Result<CallResponse> result) {
    if (sender_ != nullptr) std::exchange(sender_, nullptr)->reset(StreamError::kCancelled);
    finish(std::move(result));
  }

  // The callback usually destroys this call, so nothing is touched after it.
  void finish(Result<CallResponse> result) {
    timer_.cancel();
    if (auto done = std::exchange(done_, nullptr)) done(std::move(result));
  }

  GatewayWorker& gateway_;
  std::shared_ptr<BoundSnapshot> bound_;
  std::string upstream_;
  std::move_only_function<void(Result<CallResponse>)> done_;
  extension::ExchangeInfo info_;
  CallResponse response_;
  http::Sender* sender_ = nullptr;
  net::Timer timer_;
  bool ended_ = false;
};

}  // namespace

GatewayWorker* CallDirectory::gateway_of(net::Worker& worker) const {
  return worker.index() < workers_.size() ? workers_[worker.index()] : nullptr;
}

bool CallDirectory::exists(net::Worker& worker, std::string_view upstream) const {
  const GatewayWorker* gateway = gateway_of(worker);
  return gateway != nullptr && gateway->current() != nullptr &&
         gateway->current()->snapshot->find_upstream(upstream) != RouteMatch::kNone;
}

Result<std::unique_ptr<extension::PendingCall>> CallDirectory::call(
    net::Worker& worker, std::string_view upstream, bool permit_address, CallRequest request,
    std::move_only_function<void(Result<CallResponse>)> done) {
  GatewayWorker* gateway = gateway_of(worker);
  if (gateway == nullptr || gateway->current() == nullptr) {
    return fail(ErrorKind::kUnavailable, "the gateway is not running on this worker");
  }
  const std::shared_ptr<BoundSnapshot>& bound = gateway->current();
  const std::size_t index = bound->snapshot->find_upstream(upstream);
  if (index == RouteMatch::kNone && !permit_address) {
    return fail(
        ErrorKind::kNotFound,
        "no upstream is named \"" + std::string(upstream) +
            "\"; name one of the configuration's, or permit the address (permissions.http)");
  }
  auto call = std::make_unique<Call>(*gateway, bound, upstream, std::move(done));
  if (index != RouteMatch::kNone) {
    call->start(*bound->origins[index], request);
  } else {
    call->start(gateway->pool().open({.endpoint = std::string(upstream)}, http::ClientLimits{}, *call), request);
  }
  return call;
}

}  // namespace heddle::gateway
