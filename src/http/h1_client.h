// Client connections of HTTP/1 and the pool that keeps them. Private to this folder.
//
// A stream lasts one exchange and takes a connection when its head is sent: an idle one (the last
// used first) or a new one. Streams are recycled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/client.h"
#include "http/client_connector.h"
#include "http/client_context.h"
#include "http/h1_connection.h"

namespace heddle::http {

class H1ClientConnection;
class H1ClientPool;

struct H1Endpoint : ClientEndpoint {
  using ClientEndpoint::ClientEndpoint;

  std::vector<std::unique_ptr<H1ClientConnection>> connections;
  std::vector<H1ClientConnection*> idle;  // last used last
  std::size_t streams = 0;
};

class H1ClientStream final : public ClientStream, public net::Worker::Flushable {
 public:
  explicit H1ClientStream(H1ClientPool& pool) : pool_(pool) {}
  ~H1ClientStream() override = default;
  H1ClientStream(const H1ClientStream&) = delete;
  H1ClientStream& operator=(const H1ClientStream&) = delete;

  void open(H1Endpoint* endpoint, const ClientLimits& stream_limits, Receiver& new_receiver);

  void send_informational(const HeaderMap&) override {}
  void send_head(const HeaderMap& headers, bool end) override;
  void send_data(Buffer&& data, bool end) override;
  void send_trailers(const HeaderMap& trailers) override;
  void reset(StreamError error) override;
  void pause_receiving() override { ++paused; }
  void resume_receiving() override;
  bool above_watermark() const override;
  std::uint64_t bytes_sent() const override;
  std::uint64_t bytes_received() const override;
  const UpstreamInfo& upstream() const override;

  // Ends the stream with an error that was found within a call of its owner.
  void flush() override;
  void fail_soon(StreamError error, std::string detail);

  // The stream is over; afterwards its memory belongs to the pool.
  void fail(StreamError error, std::string_view detail);
  void complete();

  Receiver* receiver = nullptr;  // null: not open
  H1Endpoint* endpoint = nullptr;
  H1ClientConnection* connection = nullptr;
  ClientLimits limits;
  BodyWriter body_writer;
  std::uint64_t sent_before = 0;
  std::uint64_t received_before = 0;
  int paused = 0;
  bool head_sent = false;
  bool request_end = false;
  bool head_request = false;
  bool idempotent = false;
  bool upgrade = false;
  bool tunnel = false;

 private:
  friend class H1ClientPool;
  bool take_connection();
  void finish_short();

  H1ClientPool& pool_;
  StreamError error_ = StreamError::kClosed;
  std::string error_detail_;  // not empty: fail_soon() was called
};

class H1ClientConnection final : public H1Connection, public ClientConnector::Owner {
 public:
  H1ClientConnection(H1ClientPool& pool, H1Endpoint& endpoint);
  ~H1ClientConnection() override;

  void connect(std::chrono::nanoseconds timeout);
  // A connection that stands already.
  void start(ClientConnector& connector, std::chrono::nanoseconds idle_timeout);
  void attach(H1ClientStream& stream);
  bool is_stale() const { return stream_.is_stale(); }
  void close();
  void abandon();  // its stream was reset

  Buffer& out() { return out_; }
  OutputBlock& output() { return output_; }
  void wrote() { note_output(); }
  void look_again() { process_soon(); }
  std::size_t unsent() const { return out_.size(); }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t received() const { return received_; }

  void on_connect(int) override {}
  void on_connected(ClientConnector& connector) override;
  void on_not_connected(StreamError error, std::string_view detail) override;

  UpstreamInfo info;
  bool served = false;   // an exchange
  bool retired = false;  // not used again: its endpoint was forgotten

 private:
  // What is kept of a request on a used connection, to send it again.
  static constexpr std::size_t kMaxReplay = std::size_t{64} * 1024;
  static constexpr int kMaxInformational = 16;
  enum class In : std::uint8_t { kIdle, kHead, kBody, kBodyEnd, kDone, kTunnel, kTunnelEnd };

  void process() override;
  bool wants_input() const override;
  bool expects_bulk() const override { return in_ == In::kBody || in_ == In::kTunnel; }
  void on_input_moved() override;
  void on_flushed() override;
  Buffer* sent_sink() override;
  void on_write_failed(int error) override;
  void on_below_watermark() override;
  void on_wait_expired(Wait wait) override;
  void on_send_expired() override;

  bool step();
  bool read_head();
  bool take_head();
  bool read_body();
  bool read_tunnel();
  void handle_input_end();
  void maybe_complete();
  void complete();
  void fail(StreamError error, std::string_view detail);
  bool replay();

  H1ClientPool& pool_;
  H1Endpoint& endpoint_;
  H1ClientStream* exchange_ = nullptr;
  H1Parser parser_{H1Parser::Kind::kResponse};
  HeadPtr head_;
  Buffer kept_;
  std::unique_ptr<ClientConnector> connector_;  // until the connection stands
  int informational_ = 0;
  In in_ = In::kIdle;
  bool keep_ = false;  // kept_ holds all that was sent
  bool keep_alive_ = true;
  bool write_broken_ = false;
  bool answered_ = false;  // something of the response came
};

class H1ClientPool {
 public:
  explicit H1ClientPool(ClientContext& context_in) : context(context_in) {}
  ~H1ClientPool();
  H1ClientPool(const H1ClientPool&) = delete;
  H1ClientPool& operator=(const H1ClientPool&) = delete;

  // As ClientPool says.
  ClientStream& open(const ClientTarget& target, const ClientLimits& limits, Receiver& receiver);
  void forget(const std::string& name);
  void close_idle();
  std::size_t active() const { return active_; }

  // A connection that stands becomes an idle one.
  void adopt(const ClientTarget& target, const ClientLimits& limits, ClientConnector& connector);
  bool has_idle(const ClientTarget& target) { return !endpoint(target).idle.empty(); }
  std::size_t connections(const ClientTarget& target) {
    return endpoint(target).connections.size();
  }

  // An idle connection, or null. `checked`: only one whose peer still stands there.
  H1ClientConnection* take_idle(H1Endpoint& endpoint, bool checked);
  H1ClientConnection* connect(H1Endpoint& endpoint,
                              const ClientLimits& limits);  // null at max_connections
  H1ClientConnection& connect_unlimited(H1Endpoint& endpoint, const ClientLimits& limits);
  void remove(H1Endpoint& endpoint,
              H1ClientConnection& connection);  // destroys it at the end of the scope
  void recycle(H1ClientStream& stream);

  ClientContext& context;

 private:
  H1Endpoint& endpoint(const ClientTarget& target);
  H1ClientConnection& add(H1Endpoint& endpoint);
  static void close_idle(H1Endpoint& endpoint);

  EndpointMap<H1Endpoint> endpoints_;
  std::vector<std::unique_ptr<H1ClientStream>> streams_;
  std::vector<H1ClientStream*> free_;
  std::size_t active_ = 0;
};

}  // namespace heddle::http
