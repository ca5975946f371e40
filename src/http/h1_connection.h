// What server and client connections of HTTP/1 share: reading into blocks, decoding a body, one
// writev per event (HTTP/2: per turn of the loop), deadlines and watermarks. Private to this
// folder; worker thread only.
//
// Bytes arrive in a block and stay there: heads are parsed in place and body slices point into it.
// A connection reads again at the end of the scope, when what it read was usually passed on, so
// that the same block serves again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "http/buffer.h"
#include "http/h1_body.h"
#include "http/h1_writer.h"
#include "http/stream.h"
#include "net/tcp_stream.h"
#include "net/timer.h"
#include "net/worker.h"

namespace heddle::http {

class H1Connection : public net::TcpStream::Observer, public net::Worker::Flushable {
 public:
  virtual ~H1Connection();
  H1Connection(const H1Connection&) = delete;
  H1Connection& operator=(const H1Connection&) = delete;

  void on_read(std::size_t count) final;
  void on_read_end(int error) final;
  void on_write_ready() final;
  void flush() final;
  void flush_turn() final;

 protected:
  enum class Wait : std::uint8_t { kNothing, kConnect, kIdle, kHead, kBody, kLinger };
  enum class BodyStep : std::uint8_t { kMore, kDone, kReject };

  explicit H1Connection(net::Worker& worker);

  // Handles unread bytes and the end of input as far as the state allows.
  virtual void process() = 0;
  virtual bool wants_input() const = 0;
  virtual bool expects_bulk() const = 0;  // a long body is arriving: larger blocks pay
  virtual void on_input_moved() = 0;      // the unread bytes have another address
  virtual void fill_output() {}           // appends what waits to be sent to out_
  // Whether output of several events is for one write: then it is written at the end of the turn.
  virtual bool joins_output() const { return false; }
  virtual void on_flushed() = 0;  // everything written is with the kernel
  virtual void on_write_failed(int error) = 0;
  virtual Buffer* sent_sink() { return nullptr; }  // where what was sent is kept
  virtual void on_below_watermark() = 0;
  virtual void on_wait_expired(Wait wait) = 0;
  virtual void on_send_expired() = 0;

  // Input.
  std::size_t unread() const { return filled_ - read_; }
  char* unread_data() { return block_->data() + read_; }
  void consume(std::size_t count) {
    read_ += count;
    received_ += count;
  }
  void discard_input() { consume(unread()); }
  // Decodes unread bytes into incoming_.
  BodyStep decode_body();

  // Output.
  void queue_flush() { worker_.queue_flush(*this); }
  void process_soon() {
    process_queued_ = true;
    queue_flush();
  }
  void note_output();  // after something was appended to out_

  // Deadlines. Setting one is a store; the timer runs at the earliest and looks again.
  void expect(Wait wait, std::chrono::nanoseconds delay);
  void expect_nothing() {
    wait_ = Wait::kNothing;
    wait_deadline_ = 0;
  }
  Wait waiting_for() const { return wait_; }
  bool output_waits() const { return write_waiting_; }  // the kernel takes no more

  // The socket of `other` with the bytes that it read and did not consume; `other` is closed after
  // it. No read may be under way.
  void take_over(H1Connection& other);
  void close_stream();  // nothing comes any more; the object still stands

  net::Worker& worker_;
  net::TcpStream stream_;
  BlockRef block_;
  Buffer incoming_;
  Buffer out_;
  OutputBlock output_;
  H1BodyDecoder decoder_;
  std::size_t high_watermark_ = 0;
  std::chrono::nanoseconds send_timeout_ = std::chrono::seconds(30);
  std::uint64_t received_ = 0;  // consumed bytes of the connection's life
  std::uint64_t sent_ = 0;
  bool input_ended_ = false;
  int input_error_ = 0;    // errno of the end, 0 for FIN
  bool can_write_ = true;  // false while connecting
  bool closed_ = false;

 private:
  void write_all();
  void write_out();
  void go_on();
  void start_read();
  void make_room();
  void take_block(std::size_t capacity);
  void arm(Nanoseconds deadline);
  void look_at_output_later();
  bool peer_stands_still();
  void on_timer();

  std::size_t read_ = 0;  // offsets in block_
  std::size_t filled_ = 0;
  std::size_t room_ = 0;  // of the read under way
  bool last_read_full_ = false;
  bool process_queued_ = false;
  bool above_watermark_ = false;
  bool write_waiting_ = false;

  net::Timer timer_;
  Nanoseconds armed_for_ = 0;
  Nanoseconds wait_deadline_ = 0;
  Nanoseconds send_deadline_ = 0;
  int unacknowledged_ = 0;  // bytes that the kernel held at the last look
  int looks_alike_ = 0;     // at which it held as many as before
  Wait wait_ = Wait::kNothing;
};

}  // namespace heddle::http
