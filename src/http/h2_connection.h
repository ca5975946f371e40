// What server and client connections of HTTP/2 share: an nghttp2 session between the blocks that
// were read and the buffer that is written, the streams on it, flow control and deadlines. Private
// to this folder; worker thread only.
//
// nghttp2 frames and checks; this side moves bytes. DATA arrives as slices of the block that was
// read and leaves as slices of the stream's buffer; everything that an event produced leaves with
// one system call, as over HTTP/1.
#pragma once

#include <nghttp2/nghttp2.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1_connection.h"
#include "http/h2_fields.h"
#include "http/h2_guard.h"
#include "http/h2_head.h"
#include "http/h2_stream.h"
#include "http/http2_limits.h"

namespace heddle::http {

class H2Connection : public H1Connection {
 public:
  ~H2Connection() override;

  // For streams.
  void resume_sending(H2Stream& stream);
  void deliver_soon(H2Stream& stream);
  // Found within a call of the stream's owner: the peer gets a reset, the receiver hears of it
  // later.
  void fail_soon(H2Stream& stream, std::string_view detail);

 protected:
  enum class Role : std::uint8_t { kServer, kClient };
  H2Connection(net::Worker& worker, Role role, const Http2Limits& limits);

  // Sends the settings; `more` are added to those of both roles. `announced` the peer is told and
  // nghttp2 is not: its own check of them would end the connection where a stream is to be refused.
  void start_session(std::initializer_list<nghttp2_settings_entry> more,
                     std::initializer_list<nghttp2_settings_entry> announced = {});

  virtual bool begin_head(const nghttp2_frame& frame) = 0;  // false: the stream is refused
  virtual void finish_head(H2Stream& stream, const nghttp2_frame& frame) = 0;
  // The head is far beyond its limit; the rest of it is not read.
  virtual void on_hopeless_head(H2Stream& stream) = 0;
  // False: the stream was refused and takes no more.
  virtual bool accept_body(H2Stream& stream) = 0;
  virtual void on_sent_end(H2Stream& stream) = 0;  // END_STREAM is serialised
  virtual void on_delivered_end(H2Stream& stream) = 0;
  virtual void on_stream_gone(H2Stream& stream, std::uint32_t code) = 0;  // nghttp2 closed it
  virtual void on_stream_failed(H2Stream& stream) = 0;                    // its `failure` is due
  virtual void on_not_sent(H2Stream& /*stream*/) {}                       // its request never left
  virtual void on_settings() {}
  virtual void on_goaway(const nghttp2_goaway& /*goaway*/) {}
  virtual void on_sent_goaway() {}
  virtual void on_ping_ack() {}
  // A frame begins; not 0: what fail_session() returned.
  virtual int on_frame_head(const nghttp2_frame_hd& /*head*/) { return 0; }
  // How much of the input nghttp2 gets at once; check_input() is called when it has it.
  virtual std::size_t next_input(const std::uint8_t* /*data*/, std::size_t size) { return size; }
  virtual void check_input() {}
  virtual void on_sent_reset(std::int32_t /*id*/) {}
  virtual void on_bad_frame(const nghttp2_frame& /*frame*/, int /*error*/) {}
  virtual void on_limit(Http2Limit limit) = 0;
  // Nothing more is written; `detail` is empty unless the session ended by an error.
  virtual void on_session_end(std::string_view detail) = 0;

  void process() override;
  void fill_output() override;
  bool joins_output() const override;
  void on_flushed() override;
  bool wants_input() const override { return true; }
  bool expects_bulk() const override { return bulk_; }
  void on_input_moved() override {}
  void on_below_watermark() override {}

  void add_stream(H2Stream& stream);
  // Out of the list: nghttp2 forgets it, what it held is given back to the connection's window.
  void drop_stream(H2Stream& stream);
  H2Stream* find(std::int32_t id) const {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
  }
  void deliver(H2Stream& stream);
  void give_back(H2Stream& stream);  // what was delivered, to the peer's windows
  void reset_stream(std::int32_t id, std::uint32_t code);
  void terminate(std::uint32_t code);  // GOAWAY; on_session_end() follows when it is written
  void end_by_error(int error);
  // Within a callback of nghttp2, whose result it is: everything ends with a GOAWAY of this code.
  int fail_session(std::uint32_t code, std::string_view detail);
  // Of a frame that carries no part of a message; not 0: there were too many.
  int count_control_frame();
  static nghttp2_data_provider data_provider();
  // One whose deadline passed, or null; `next` is lowered to the earliest of the others.
  H2Stream* expired_stream(Nanoseconds now, Nanoseconds& next) const;

  const Http2Limits h2_limits_;
  // Bytes that a receiver has not taken count in the connection's window too. Not where many
  // clients share the connection: a few that do not read would stop all others.
  const bool holds_connection_window_;
  nghttp2_session* session_ = nullptr;
  H2HeadReader reader_;
  H2Fields fields_;
  std::vector<H2Stream*> streams_;
  std::chrono::nanoseconds stream_receive_timeout_{0};
  std::chrono::nanoseconds stream_send_timeout_{0};
  bool ending_ = false;  // a GOAWAY that ends everything is on its way; nothing comes in any more

 private:
  friend struct H2Callbacks;
  struct Due {
    H2Stream* stream;
    std::uint32_t generation;
  };

  int take_frame(const nghttp2_frame& frame);
  int take_chunk(std::int32_t id, const std::uint8_t* data, std::size_t size);
  void take_data_end(const nghttp2_frame& frame);
  ssize_t read_body(std::int32_t id, std::size_t most, std::uint32_t* flags);
  int send_body(std::int32_t id, const std::uint8_t* head, std::size_t size);
  int note_sent(const nghttp2_frame& frame);
  void note_unsent(const nghttp2_frame& frame);
  void close_by_session(std::int32_t id, std::uint32_t code);
  int count_frame(const nghttp2_frame_hd& head);
  int count_reset();
  int calm_down(Http2Limit limit);
  void flush_partial();
  void run_ready();
  void tell_writable();
  void write_goaway(std::uint32_t code);
  void write_settings(std::initializer_list<nghttp2_settings_entry> announced);

  EventBucket resets_;
  EventBucket control_frames_;
  std::vector<Due> ready_;
  std::vector<Due> running_;
  std::vector<Due> writable_;
  Buffer scratch_;
  std::string end_detail_;
  std::int32_t head_of_ = 0;     // the stream whose header block was begun last
  H2Stream* partial_ = nullptr;  // its DATA frame is not whole yet
  bool bulk_ = false;
  std::uint32_t end_code_ = NGHTTP2_PROTOCOL_ERROR;
  bool dead_ = false;  // nghttp2 gave up: the session is not called any more
};

// The name of an HTTP/2 error code, for logs.
std::string_view h2_error_name(std::uint32_t code);

}  // namespace heddle::http
