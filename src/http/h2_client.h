// Client connections of HTTP/2 and the pool that keeps them. Private to this folder.
//
// A stream joins a connection when its head is sent: the first that has room for it, or a new one.
// Until something of its response came it can move to another connection, when the upstream says
// that it did not look at the request (GOAWAY, REFUSED_STREAM), or when a repetition harms nobody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/client_connector.h"
#include "http/client_context.h"
#include "http/h2_connection.h"

namespace heddle::http {

class H2ClientConnection;
class H2ClientPool;

struct H2Endpoint : ClientEndpoint {
  using ClientEndpoint::ClientEndpoint;

  std::vector<std::unique_ptr<H2ClientConnection>> connections;
  std::size_t streams = 0;
};

class H2ClientStream final : public H2Stream, public ClientStream, public net::Worker::Flushable {
 public:
  explicit H2ClientStream(H2ClientPool& pool) : pool_(pool) {}

  void open(H2Endpoint* new_endpoint, const ClientLimits& stream_limits, Receiver& new_receiver);

  void send_informational(const HeaderMap&) override {}
  void send_head(const HeaderMap& headers, bool end) override;
  void send_data(Buffer&& data, bool end) override;
  void send_trailers(const HeaderMap& trailers) override { queue_trailers(trailers); }
  void reset(StreamError error) override;
  void pause_receiving() override { pause(); }
  void resume_receiving() override { resume(); }
  bool above_watermark() const override { return outgoing.size() > high_watermark; }
  std::uint64_t bytes_sent() const override { return sent; }
  std::uint64_t bytes_received() const override { return received; }
  const UpstreamInfo& upstream() const override;

  // Ends the stream with an error that was found within a call of its owner, before it had a
  // connection.
  void fail_soon(StreamError error, std::string detail);
  void flush() override;

  // Whether nothing of it was answered and all of it was kept.
  bool can_move() const { return keep_ && !head_received && moves_ < kMaxMoves; }
  void answered();  // it does not move any more
  // Leaves its connection for another.
  void move();

  H2ClientConnection& client() const;
  void finish();  // the stream is over; afterwards its memory belongs to the pool

  H2Endpoint* endpoint = nullptr;
  ClientLimits limits;
  HeadPtr head;  // of the request, kept
  int informational = 0;
  bool idempotent = false;
  bool upgrade = false;  // an extended CONNECT, not answered
  bool tunnel = false;
  bool head_ends = false;  // the request is its head

 private:
  static constexpr std::size_t kMaxReplay = std::size_t{64} * 1024;
  static constexpr int kMaxMoves = 3;

  bool join();
  void keep(const Buffer& data);

  H2ClientPool& pool_;
  Buffer kept_;  // the body as handed over so far
  bool keep_ = false;
  int moves_ = 0;
  StreamError error_ = StreamError::kClosed;
  std::string error_detail_;  // not empty: fail_soon() was called
};

class H2ClientConnection final : public H2Connection, public ClientConnector::Owner {
 public:
  H2ClientConnection(H2ClientPool& pool, H2Endpoint& endpoint, const ClientLimits& limits);
  ~H2ClientConnection() override;

  void connect();
  void start(ClientConnector& connector);  // a connection that stands already

  // Whether one more stream may be opened. `checked`: an unused connection only when its peer still
  // stands there.
  bool has_room(bool checked) const;
  void attach(H2ClientStream& stream);
  void give_up(H2ClientStream& stream, StreamError error);
  void fail(H2ClientStream& stream, StreamError error, std::string_view detail);
  // Takes no more streams and closes when the last has ended.
  void retire();
  void close_if_unused();
  void leave(H2ClientStream& stream);

  void on_connect(int) override {}
  void on_connected(ClientConnector& connector) override;
  void on_not_connected(StreamError error, std::string_view detail) override;

  UpstreamInfo info;

 private:
  static constexpr int kMaxInformational = 16;

  bool begin_head(const nghttp2_frame& frame) override;
  void finish_head(H2Stream& stream, const nghttp2_frame& frame) override;
  void on_hopeless_head(H2Stream& stream) override;
  bool accept_body(H2Stream&) override { return true; }
  void on_sent_end(H2Stream& stream) override;
  void on_delivered_end(H2Stream& stream) override;
  void on_stream_gone(H2Stream& stream, std::uint32_t code) override;
  void on_stream_failed(H2Stream& stream) override;
  void on_not_sent(H2Stream& stream) override;
  void on_settings() override;
  void on_goaway(const nghttp2_goaway& goaway) override;
  void on_limit(Http2Limit limit) override;
  void on_session_end(std::string_view detail) override;

  void process() override;
  void on_write_failed(int error) override;
  void on_wait_expired(Wait wait) override;
  void on_send_expired() override;

  void begin(ClientConnector& connector);
  void submit(H2ClientStream& stream);
  void take_informational(H2ClientStream& stream, HeadPtr head);
  void take_response(H2ClientStream& stream, HeadPtr head, bool end);
  void answer_upgrade(H2ClientStream& stream, Head& head);
  void refuse(H2ClientStream& stream, Reject reject);
  void complete_if_done(H2ClientStream& stream);
  void recycle(H2ClientStream& stream);
  void handle_input_end();
  void end_streams(StreamError error, std::string_view detail);
  void watch_streams();
  bool peer_lives();
  void wait_for_more();
  void end();
  void close();

  H2ClientPool& pool_;
  H2Endpoint& endpoint_;
  const ClientLimits limits_;
  std::unique_ptr<ClientConnector> connector_;  // until the connection stands
  std::uint64_t received_at_check_ = 0;
  std::string goaway_;    // what the upstream said when it ended the connection
  bool served_ = false;   // a stream
  bool greeted_ = false;  // the upstream's settings came
  bool retired_ = false;
  bool pinged_ = false;
};

class H2ClientPool {
 public:
  explicit H2ClientPool(ClientContext& context_in) : context(context_in) {}
  ~H2ClientPool();
  H2ClientPool(const H2ClientPool&) = delete;
  H2ClientPool& operator=(const H2ClientPool&) = delete;

  // As ClientPool says.
  ClientStream& open(const ClientTarget& target, const ClientLimits& limits, Receiver& receiver);
  void forget(const std::string& name);
  void close_idle();
  std::size_t active() const { return active_; }

  // A connection that stands becomes one of the endpoint's.
  void adopt(const ClientTarget& target, const ClientLimits& limits, ClientConnector& connector);
  bool has_room(const ClientTarget& target);
  std::size_t connections(const ClientTarget& target) {
    return endpoint(target).connections.size();
  }

  // One with room for the stream, or null at max_connections.
  H2ClientConnection* find(H2Endpoint& endpoint, const H2ClientStream& stream);
  void remove(H2Endpoint& endpoint,
              H2ClientConnection& connection);  // destroys it at the end of the scope
  void recycle(H2ClientStream& stream);

  ClientContext& context;

 private:
  H2Endpoint& endpoint(const ClientTarget& target);
  H2ClientConnection& add(H2Endpoint& endpoint, const ClientLimits& limits);
  template <typename Visit>
  static void for_each(H2Endpoint& endpoint, Visit visit);

  EndpointMap<H2Endpoint> endpoints_;
  std::vector<std::unique_ptr<H2ClientStream>> streams_;
  std::vector<H2ClientStream*> free_;
  std::size_t active_ = 0;
};

}  // namespace heddle::http
