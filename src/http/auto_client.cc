#include "http/auto_client.h"

#include <algorithm>
#include <array>
#include <utility>

#include "http/h1_client.h"
#include "http/h2_client.h"

namespace heddle::http {
namespace {

constexpr std::array<std::string_view, 2> kBothAlpn = {"h2", "http/1.1"};

ClientTarget with_protocol(const ClientTarget& target, ClientProtocol protocol) {
  ClientTarget out = target;
  out.protocol = protocol;
  return out;
}

}  // namespace

// A connection on its way, whose protocol nobody knows yet.
class AutoEndpoint::Attempt final : ClientConnector::Owner {
 public:
  Attempt(AutoClientPool& pool, AutoEndpoint& endpoint, const ClientLimits& limits)
      : pool_(pool),
        endpoint_(endpoint),
        limits_(limits),
        connector_(pool.context, endpoint, info_, *this) {}

  void start() { connector_.start(limits_.connect_timeout, kBothAlpn); }

  void on_connected(ClientConnector& connector) override {
    remove();
    pool_.attempt_connected(endpoint_, connector, limits_);
  }
  void on_not_connected(StreamError error, std::string_view detail) override {
    remove();
    pool_.attempt_failed(endpoint_, error, detail);
  }

 private:
  // Out of the list; destroyed at the end of the scope.
  void remove() {
    const auto found = std::ranges::find_if(
        endpoint_.attempts, [this](const auto& attempt) { return attempt.get() == this; });
    pool_.context.worker.defer([gone = std::move(*found)] {});
    endpoint_.attempts.erase(found);
  }

  AutoClientPool& pool_;
  AutoEndpoint& endpoint_;
  ClientLimits limits_;
  UpstreamInfo info_;
  ClientConnector connector_;
};

AutoEndpoint::AutoEndpoint(ClientContext& context, const ClientTarget& auto_target)
    : ClientEndpoint(context, auto_target),
      http1(with_protocol(auto_target, ClientProtocol::kHttp1)),
      http2(with_protocol(auto_target, ClientProtocol::kHttp2)) {}

AutoEndpoint::~AutoEndpoint() = default;

AutoClientPool::AutoClientPool(ClientContext& context_in, H1ClientPool& http1_in,
                               H2ClientPool& http2_in)
    : context(context_in), http1(http1_in), http2(http2_in) {}

AutoClientPool::~AutoClientPool() {
  for (const auto& stream : streams_) context.worker.forget_flush(*stream);
}

ClientStream& AutoClientPool::open(const ClientTarget& target, const ClientLimits& limits,
                                   Receiver& receiver) {
  AutoEndpoint& endpoint = endpoints_.find(
      target, [&] { return std::make_unique<AutoEndpoint>(context, target); },
      [](const AutoEndpoint& other) { return other.attempts.empty() && other.streams == 0; });
  if (free_.empty()) {
    streams_.push_back(std::make_unique<AutoClientStream>(*this));
    free_.push_back(streams_.back().get());
  }
  AutoClientStream& stream = *free_.back();
  free_.pop_back();
  ++endpoint.streams;
  stream.open(&endpoint, limits, receiver);
  return stream;
}

void AutoClientPool::recycle(AutoClientStream& stream) {
  context.worker.forget_flush(stream);
  --stream.endpoint->streams;
  free_.push_back(&stream);
}

void AutoClientPool::place(AutoClientStream& stream) {
  AutoEndpoint& endpoint = *stream.endpoint;
  if (!endpoint.is_valid()) {
    stream.fail_soon(StreamError::kRefused,
                     "endpoint '" + endpoint.target.endpoint + "' is not host:port");
    return;
  }
  if (http2.has_room(endpoint.http2)) {
    stream.bind(ClientProtocol::kHttp2);
    return;
  }
  if (http1.has_idle(endpoint.http1)) {
    stream.bind(ClientProtocol::kHttp1);
    return;
  }
  endpoint.waiting.push_back(&stream);
  ++waiting_;
  start_attempts(endpoint);
}

// Over HTTP/1 every stream needs a connection of its own.
void AutoClientPool::start_attempts(AutoEndpoint& endpoint) {
  const std::size_t wanted = endpoint.spoken == ClientProtocol::kHttp1
                                 ? endpoint.waiting.size()
                                 : std::min<std::size_t>(endpoint.waiting.size(), 1);
  while (endpoint.attempts.size() < wanted) {
    const ClientLimits& limits = endpoint.waiting.back()->limits;
    if (http1.connections(endpoint.http1) + http2.connections(endpoint.http2) +
            endpoint.attempts.size() >=
        limits.max_connections) {
      refuse_waiting(endpoint);
      return;
    }
    endpoint.attempts.push_back(std::make_unique<AutoEndpoint::Attempt>(*this, endpoint, limits));
    endpoint.attempts.back()->start();
  }
}

// Those that no attempt is for: nobody would look at them again.
void AutoClientPool::refuse_waiting(AutoEndpoint& endpoint) {
  while (endpoint.waiting.size() > endpoint.attempts.size()) {
    context.connection_limit_hits->add();
    AutoClientStream& last = *endpoint.waiting.back();
    forget_waiting(last);
    last.fail_soon(StreamError::kOverflow,
                   "max_connections (" + std::to_string(last.limits.max_connections) +
                       ") reached for upstream " + endpoint.target.endpoint);
  }
}

void AutoClientPool::forget_waiting(AutoClientStream& stream) {
  waiting_ -= std::erase(stream.endpoint->waiting, &stream);
}

AutoClientStream* AutoClientPool::next_waiting(AutoEndpoint& endpoint) {
  if (endpoint.waiting.empty()) return nullptr;
  AutoClientStream* const next = endpoint.waiting.front();
  forget_waiting(*next);
  return next;
}

void AutoClientPool::attempt_connected(AutoEndpoint& endpoint, ClientConnector& connector,
                                       const ClientLimits& limits) {
  if (connector.alpn() == kBothAlpn.front()) {
    endpoint.spoken = ClientProtocol::kHttp2;
    http2.adopt(endpoint.http2, limits, connector);
    while (http2.has_room(endpoint.http2)) {
      AutoClientStream* const stream = next_waiting(endpoint);
      if (stream == nullptr) break;
      stream->bind(ClientProtocol::kHttp2);
    }
  } else {
    endpoint.spoken = ClientProtocol::kHttp1;
    http1.adopt(endpoint.http1, limits, connector);
    if (AutoClientStream* const stream = next_waiting(endpoint))
      stream->bind(ClientProtocol::kHttp1);
  }
  start_attempts(endpoint);
}

void AutoClientPool::attempt_failed(AutoEndpoint& endpoint, StreamError error,
                                    std::string_view detail) {
  // Over HTTP/1 the others have attempts of their own.
  fail_waiting(endpoint, endpoint.spoken == ClientProtocol::kHttp1 ? 1 : endpoint.waiting.size(),
               error, detail);
  start_attempts(endpoint);
}

void AutoClientPool::fail_waiting(AutoEndpoint& endpoint, std::size_t count, StreamError error,
                                  std::string_view detail) {
  for (; count > 0; --count) {
    AutoClientStream* const stream = next_waiting(endpoint);
    if (stream == nullptr) return;
    stream->fail(error, detail);
  }
}

}  // namespace heddle::http
