// Exchanges with endpoints that choose between HTTP/2 and HTTP/1.1 by ALPN. Private to this folder;
// worker thread only.
//
// A stream of this pool stands in front of a stream of HTTP/1 or HTTP/2: until a connection tells
// which one it is, it keeps what it was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/client_connector.h"
#include "http/client_context.h"
#include "net/worker.h"

namespace heddle::http {

class AutoClientPool;
class AutoClientStream;
class H1ClientPool;
class H2ClientPool;

struct AutoEndpoint : ClientEndpoint {
  class Attempt;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

  AutoEndpoint(ClientContext& context, const ClientTarget& auto_target);
  ~AutoEndpoint();
  AutoEndpoint(const AutoEndpoint&) = delete;
  AutoEndpoint& operator=(const AutoEndpoint&) = delete;

  ClientTarget http1;
  ClientTarget http2;
  ClientProtocol spoken = ClientProtocol::kAuto;  // on the last new connection
  std::vector<std::unique_ptr<Attempt>> attempts;
  std::vector<AutoClientStream*> waiting;  // for a connection, in order
  std::size_t streams = 0;
};

class AutoClientStream final : public ClientStream, public Receiver, public net::Worker::Flushable {
 public:
  explicit AutoClientStream(AutoClientPool& pool) : pool_(pool) {}

  void open(AutoEndpoint* new_endpoint, const ClientLimits& new_limits, Receiver& new_receiver);
  // Goes on as a stream of `protocol`.
  void bind(ClientProtocol protocol);
  void fail(StreamError error, std::string_view detail);
  void fail_soon(StreamError error, std::string detail);

  void send_informational(const HeaderMap&) override {}
  void send_head(const HeaderMap& headers, bool end) override;
  void send_data(Buffer&& data, bool end) override;
  void send_trailers(const HeaderMap& trailers) override;
  void reset(StreamError error) override;
  void pause_receiving() override;
  void resume_receiving() override;
  bool above_watermark() const override;
  std::uint64_t bytes_sent() const override;
  std::uint64_t bytes_received() const override;
  const UpstreamInfo& upstream() const override;

  void on_informational(HeadPtr head) override { receiver_->on_informational(std::move(head)); }
  void on_head(HeadPtr head, bool end) override { receiver_->on_head(std::move(head), end); }
  void on_data(Buffer& data, bool end) override { receiver_->on_data(data, end); }
  void on_trailers(HeadPtr trailers) override { receiver_->on_trailers(std::move(trailers)); }
  void on_reset(StreamError error, std::string_view detail) override { fail(error, detail); }
  void on_writable() override { receiver_->on_writable(); }
  void on_complete() override;
  void flush() override;

  AutoEndpoint* endpoint = nullptr;
  ClientLimits limits;

 private:
  void finish();

  AutoClientPool& pool_;
  Receiver* receiver_ = nullptr;
  ClientStream* inner_ = nullptr;
  HeadPtr head_;
  HeadPtr trailers_;
  Buffer queued_;
  int paused_ = 0;
  bool ended_ = false;
  bool head_ends_ = false;
  StreamError error_ = StreamError::kClosed;
  std::string error_detail_;  // not empty: fail_soon() was called
};

class AutoClientPool {
 public:
  AutoClientPool(ClientContext& context_in, H1ClientPool& http1_in, H2ClientPool& http2_in);
  ~AutoClientPool();
  AutoClientPool(const AutoClientPool&) = delete;
  AutoClientPool& operator=(const AutoClientPool&) = delete;

  // As ClientPool says.
  ClientStream& open(const ClientTarget& target, const ClientLimits& limits, Receiver& receiver);
  std::size_t waiting() const { return waiting_; }

  // The stream has its head and wants to go on: at once, or when a connection stands.
  void place(AutoClientStream& stream);
  void forget_waiting(AutoClientStream& stream);
  void recycle(AutoClientStream& stream);
  void attempt_connected(AutoEndpoint& endpoint, ClientConnector& connector,
                         const ClientLimits& limits);
  void attempt_failed(AutoEndpoint& endpoint, StreamError error, std::string_view detail);

  ClientContext& context;
  H1ClientPool& http1;
  H2ClientPool& http2;

 private:
  void start_attempts(AutoEndpoint& endpoint);
  void refuse_waiting(AutoEndpoint& endpoint);
  AutoClientStream* next_waiting(AutoEndpoint& endpoint);
  void fail_waiting(AutoEndpoint& endpoint, std::size_t count, StreamError error,
                    std::string_view detail);

  EndpointMap<AutoEndpoint> endpoints_;
  std::vector<std::unique_ptr<AutoClientStream>> streams_;
  std::vector<AutoClientStream*> free_;
  std::size_t waiting_ = 0;
};

}  // namespace heddle::http
