// A server connection of HTTP/2: many exchanges at once on one connection. Chosen by ALPN, or by
// the client's preface on a plain connection (prior knowledge). Private to this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "http/h2_connection.h"
#include "http/h2_frame_scanner.h"
#include "http/server_context.h"

namespace heddle::http {

class H2ServerConnection;

// What the client sends first (RFC 9113 section 3.4).
inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class H2ServerStream final : public H2Stream, public Sender {
 public:
  void send_informational(const HeaderMap& headers) override;
  void send_head(const HeaderMap& headers, bool end) override;
  void send_data(Buffer&& data, bool end) override { queue_data(std::move(data), end); }
  void send_trailers(const HeaderMap& trailers) override { queue_trailers(trailers); }
  void reset(StreamError error) override;
  void pause_receiving() override { pause(); }
  void resume_receiving() override;
  bool above_watermark() const override { return outgoing.size() > high_watermark; }
  std::uint64_t bytes_sent() const override { return sent; }
  std::uint64_t bytes_received() const override { return received; }

  void start_exchange();  // clears what only a server's stream has
  H2ServerConnection& server() const;

  bool head_request = false;
  bool upgrade_waits = false;  // an extended CONNECT without an answer; counts as a pause
  bool tunnel = false;
  bool continue_owed = false;  // the client waits for 100
  bool finishing = false;      // queued until END_STREAM is with the kernel
};

class H2ServerConnection final : public H2Connection, public ServerConnection {
 public:
  // `info` describes the connection that start() hands over.
  H2ServerConnection(ServerContext& context, ConnectionInfo info);
  ~H2ServerConnection() override;

  // The connection with the bytes that were read of it is taken from `from`, which closes.
  void start(H1Connection& from);
  // A connection of which nothing was read, as after a TLS handshake.
  void start(net::TcpStream& from);
  void start(net::Fd fd);
  void drain() override;
  void abort() override;
  void on_connect(int) override {}

 private:
  friend class H2ServerStream;
  enum class Drain : std::uint8_t { kNone, kAnnounced, kFinal };

  bool begin_head(const nghttp2_frame& frame) override;
  void finish_head(H2Stream& stream, const nghttp2_frame& frame) override;
  void on_hopeless_head(H2Stream& stream) override;
  bool accept_body(H2Stream& stream) override;
  void on_sent_end(H2Stream& stream) override;
  void on_delivered_end(H2Stream& stream) override;
  void on_stream_gone(H2Stream& stream, std::uint32_t code) override;
  void on_stream_failed(H2Stream& stream) override;
  void on_sent_goaway() override;
  void on_ping_ack() override;
  std::size_t next_input(const std::uint8_t* data, std::size_t size) override;
  void check_input() override;
  int on_frame_head(const nghttp2_frame_hd& head) override;
  void on_sent_reset(std::int32_t id) override;
  void on_bad_frame(const nghttp2_frame& frame, int error) override;
  void on_limit(Http2Limit limit) override;
  void on_session_end(std::string_view detail) override;

  void process() override;
  void fill_output() override;
  void on_flushed() override;
  void on_write_failed(int error) override;
  void on_wait_expired(Wait wait) override;
  void on_send_expired() override;

  void begin();
  bool is_full() const;
  bool is_cut_off() const;
  void tell(Reject reject);
  void start_request(H2ServerStream& stream, bool end);
  void finish_trailers(H2ServerStream& stream, const nghttp2_frame& frame);
  void send_continue_if_wanted(H2ServerStream& stream);
  void send_informational(H2ServerStream& stream, const HeaderMap& headers,
                          std::string_view status);
  void send_head(H2ServerStream& stream, const HeaderMap& headers, bool end);
  void submit(H2ServerStream& stream, bool end);
  void refuse(H2ServerStream& stream, Reject reject);
  void answer(H2ServerStream& stream, int status, std::string_view text);
  void fail(H2ServerStream& stream, StreamError error, std::string_view detail);
  void give_up(H2ServerStream& stream, StreamError error);
  void finish_sent();
  void complete(H2ServerStream& stream);
  void recycle(H2ServerStream& stream);
  void wait_for_more();
  void look_by(Nanoseconds when);
  void look();
  void give_up_late(H2ServerStream& stream, Nanoseconds now);
  Nanoseconds next_look() const;
  void announce_end();
  void linger();
  void fail_all(StreamError error, std::string_view detail);
  void close();

  struct Finishing {
    H2ServerStream* stream;
    std::uint32_t generation;
  };

  ServerContext& context_;
  ConnectionInfo info_;
  std::vector<Finishing> finishing_;
  bool was_closed(std::int32_t id) const;

  H2FrameScanner scanner_{kH2Preface.size()};
  std::int32_t suspect_ = 0;             // DATA comes on this stream, which nghttp2 does not know
  std::vector<std::int32_t> reset_ids_;  // streams that this side reset; a ring of the last
  std::size_t next_reset_ = 0;
  std::int32_t forgotten_reset_ = 0;  // the last one that is no longer among them
  std::int32_t last_id_ = 0;          // of a stream that the client opened
  std::size_t discarded_ = 0;
  Drain drain_ = Drain::kNone;
  Nanoseconds look_at_ = 0;          // while waiting for kBody
  Nanoseconds head_deadline_ = 0;    // of a header block whose end has not come; 0: there is none
  Nanoseconds notice_deadline_ = 0;  // of the notice of drain(), when it has no answer; 0: none
  bool lingering_ = false;
  bool told_end_ = false;     // the log says why the connection ends
  bool told_full_ = false;    // the log says that the client opened too many streams
  bool peer_closed_ = false;  // it sent FIN: what it began to ask is still answered
};

}  // namespace heddle::http
