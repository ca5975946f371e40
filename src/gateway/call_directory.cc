#include "gateway/call_directory.h"

#include <string>
#include <utility>

#include "gateway/upstream_use.h"
#include "net/timer.h"
#include "net/worker.h"

namespace heddle::gateway {

// Where a call goes: an origin of the snapshot in use, or a bare address when there is none.
struct CallDirectory::Found {
  GatewayWorker* gateway = nullptr;
  std::shared_ptr<BoundSnapshot> bound;
  extension::HttpOrigin* origin = nullptr;
  const UpstreamMetrics* metrics = nullptr;
};

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
  Call(GatewayWorker& gateway, std::shared_ptr<BoundSnapshot> bound, const UpstreamMetrics* metrics,
       std::string_view upstream, std::string caller,
       std::move_only_function<void(Result<CallResponse>)> done)
      : gateway_(gateway),
        bound_(std::move(bound)),
        use_(metrics),
        upstream_(upstream),
        caller_(std::move(caller)),
        done_(std::move(done)) {
    info_.upstream = upstream_;
  }

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
    if (ended_) return finish(std::move(response_));
    warn(to_string(error), detail);
    use_.failed();
    if (error == StreamError::kTimeout || error == StreamError::kConnectTimeout) {
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
      warn(to_string(StreamError::kTimeout), "the time-out of the call is over");
      use_.failed();
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

  void warn(std::string_view error, std::string_view detail) {
    gateway_.log().warn(
        "a plugin's call to an upstream failed",
        {{"plugin", caller_}, {"upstream", upstream_}, {"error", error}, {"detail", detail}});
  }

  void give_up(Result<CallResponse> result) {
    if (sender_ != nullptr) std::exchange(sender_, nullptr)->reset(StreamError::kCancelled);
    finish(std::move(result));
  }

  // The callback usually destroys this call, so nothing is touched after it.
  void finish(Result<CallResponse> result) {
    timer_.cancel();
    if (result && result->head != nullptr) use_.answered(result->head->status());
    if (auto done = std::exchange(done_, nullptr)) done(std::move(result));
  }

  GatewayWorker& gateway_;
  std::shared_ptr<BoundSnapshot> bound_;
  UpstreamUse use_;
  std::string upstream_;
  std::string caller_;
  std::move_only_function<void(Result<CallResponse>)> done_;
  extension::ExchangeInfo info_;
  CallResponse response_;
  http::Sender* sender_ = nullptr;
  net::Timer timer_;
  bool ended_ = false;
};

// Passes the events on, and counts what becomes of the stream. The receiver may destroy this in any
// of its events, so each is passed on last.
class Stream final : public extension::OpenStream, public http::Receiver {
 public:
  Stream(std::shared_ptr<BoundSnapshot> bound, const UpstreamMetrics* metrics,
         std::string_view upstream, http::Receiver& receiver)
      : bound_(std::move(bound)), use_(metrics), upstream_(upstream), receiver_(receiver) {
    info_.upstream = upstream_;
    info_.http2_upstream = true;
  }

  extension::ExchangeInfo& info() { return info_; }
  void set_sender(http::Sender& sender) { sender_ = &sender; }
  http::Sender& sender() override { return *sender_; }

  void on_informational(http::HeadPtr head) override {
    receiver_.on_informational(std::move(head));
  }
  void on_head(http::HeadPtr head, bool end) override {
    status_ = head->status();
    if (end) use_.answered(status_);
    receiver_.on_head(std::move(head), end);
  }
  void on_data(http::Buffer& data, bool end) override {
    if (end) use_.answered(status_);
    receiver_.on_data(data, end);
  }
  void on_trailers(http::HeadPtr trailers) override {
    use_.answered(status_);
    receiver_.on_trailers(std::move(trailers));
  }
  void on_reset(StreamError error, std::string_view detail) override {
    use_.failed();
    receiver_.on_reset(error, detail);
  }
  void on_writable() override { receiver_.on_writable(); }
  void on_complete() override { receiver_.on_complete(); }

 private:
  std::shared_ptr<BoundSnapshot> bound_;
  UpstreamUse use_;
  std::string upstream_;
  http::Receiver& receiver_;
  extension::ExchangeInfo info_;
  http::Sender* sender_ = nullptr;
  int status_ = 0;
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

Result<CallDirectory::Found> CallDirectory::find(net::Worker& worker, std::string_view upstream,
                                                 bool permit_address) const {
  GatewayWorker* gateway = gateway_of(worker);
  if (gateway == nullptr || gateway->current() == nullptr) {
    return fail(ErrorKind::kUnavailable, "the gateway is not running on this worker");
  }
  Found out{.gateway = gateway, .bound = gateway->current()};
  const std::size_t index = out.bound->snapshot->find_upstream(upstream);
  if (index != RouteMatch::kNone) {
    out.origin = out.bound->origins[index].get();
    out.metrics = &out.bound->snapshot->upstreams()[index].metrics;
  } else if (!permit_address) {
    return fail(
        ErrorKind::kNotFound,
        "no upstream is named \"" + std::string(upstream) +
            "\"; name one of the configuration's, or permit the address (permissions.http)");
  }
  return out;
}

Result<std::unique_ptr<extension::PendingCall>> CallDirectory::call(
    net::Worker& worker, std::string_view upstream, bool permit_address, CallRequest request,
    std::move_only_function<void(Result<CallResponse>)> done) {
  auto found = find(worker, upstream, permit_address);
  if (!found) return std::unexpected(std::move(found.error()));
  auto call = std::make_unique<Call>(*found->gateway, found->bound, found->metrics, upstream,
                                     std::move(request.caller), std::move(done));
  if (found->origin != nullptr) {
    call->start(*found->origin, request);
  } else {
    const http::ClientTarget target{.endpoint = std::string(upstream)};
    call->start(found->gateway->pool().open(target, http::ClientLimits{}, *call), request);
  }
  return call;
}

Result<std::unique_ptr<extension::OpenStream>> CallDirectory::open_stream(
    net::Worker& worker, std::string_view upstream, bool permit_address, http::Receiver& receiver) {
  auto found = find(worker, upstream, permit_address);
  if (!found) return std::unexpected(std::move(found.error()));
  auto stream = std::make_unique<Stream>(found->bound, found->metrics, upstream, receiver);
  if (found->origin != nullptr) {
    stream->set_sender(found->origin->start(worker, stream->info(), *stream));
  } else {
    const http::ClientTarget target{.endpoint = std::string(upstream),
                                    .protocol = http::ClientProtocol::kHttp2};
    stream->set_sender(found->gateway->pool().open(target, http::ClientLimits{}, *stream));
  }
  return stream;
}

}  // namespace heddle::gateway
