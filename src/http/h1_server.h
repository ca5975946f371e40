// A server connection of HTTP/1: reads requests one after another and writes their answers. Private
// to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/h1_connection.h"
#include "http/server_context.h"

namespace heddle::http {

class H1ServerConnection final : public H1Connection, public ServerConnection, public Sender {
 public:
  H1ServerConnection(ServerContext& context, net::Fd fd, const net::SocketAddress& remote);
  // `info` describes the connection that start() hands over; it is counted already.
  H1ServerConnection(ServerContext& context, ConnectionInfo info);
  ~H1ServerConnection() override;

  void start();
  // A connection of which nothing was read, as after a TLS handshake.
  void start(net::TcpStream& from);
  void drain() override;
  void abort() override;

  void send_informational(const HeaderMap& headers) override;
  void send_head(const HeaderMap& headers, bool end) override;
  void send_data(Buffer&& data, bool end) override;
  void send_trailers(const HeaderMap& trailers) override;
  void reset(StreamError error) override;
  void pause_receiving() override { ++paused_; }
  void resume_receiving() override;
  bool above_watermark() const override { return out_.size() > high_watermark_; }
  std::uint64_t bytes_sent() const override { return sent_ - sent_before_; }
  std::uint64_t bytes_received() const override { return received_ - received_before_; }

  void on_connect(int) override {}

 private:
  enum class In : std::uint8_t {
    kHead,
    kUpgradeWait,
    kBody,
    kBodyEnd,
    kComplete,
    kTunnel,
    kTunnelEnd,
    kDrain,
    kLinger
  };
  enum class Out : std::uint8_t { kNone, kBody, kDone, kTunnel, kTunnelEnd };

  void process() override;
  bool wants_input() const override;
  bool expects_bulk() const override { return in_ == In::kBody || in_ == In::kTunnel; }
  void on_input_moved() override;
  void on_flushed() override;
  void on_write_failed(int error) override;
  void on_below_watermark() override;
  void on_wait_expired(Wait wait) override;
  void on_send_expired() override;

  bool step();  // one step of process(); false when nothing more can be done now
  bool read_head();
  bool read_h2_preface();
  void start_exchange();
  bool read_body();
  void deliver_body_end();
  bool read_tunnel();
  bool drain_body();
  bool within_head();
  void handle_input_end();
  void send_continue_if_wanted();
  bool in_exchange() const { return receiver_ != nullptr || out_state_ != Out::kNone; }
  void refuse(Reject reject);
  void finish_output();
  void end_exchange();
  void next_request();
  void linger();
  void fail(StreamError error, std::string_view detail);
  void fail_soon(std::string_view detail);
  void close();

  ServerContext& context_;
  ConnectionInfo info_;
  H1Parser parser_{H1Parser::Kind::kRequest};
  HeadPtr head_;
  Receiver* receiver_ = nullptr;
  BodyWriter body_writer_;
  std::uint64_t body_bytes_ = 0;
  std::size_t discarded_ = 0;
  std::uint64_t sent_before_ = 0;
  std::uint64_t received_before_ = 0;
  int paused_ = 0;
  In in_ = In::kHead;
  Out out_state_ = Out::kNone;
  bool fresh_ = true;  // nothing was read: it may begin with HTTP/2's preface
  bool head_request_ = false;
  bool http10_ = false;
  bool drop_body_ = false;  // the answer has none whatever is sent
  bool close_after_ = false;
  bool continue_owed_ = false;  // the client waits for 100
  bool must_linger_ = false;
  bool entering_ = false;  // on_request is running
  std::string failure_;    // that happened within it
};

}  // namespace heddle::http
