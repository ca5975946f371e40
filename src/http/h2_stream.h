// One stream of HTTP/2: what waits to be delivered, what waits to be sent, and how far both are.
// What a server's and a client's stream share. Recycled; private to this folder.
//
// Flow control is back-pressure: bytes that the receiver has not taken, or took and then paused,
// are not given back to the peer's window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/buffer.h"
#include "http/message.h"
#include "http/stream.h"

namespace heddle::http {

class H2Connection;

class H2Stream {
 public:
  virtual ~H2Stream() = default;
  H2Stream(const H2Stream&) = delete;
  H2Stream& operator=(const H2Stream&) = delete;

  // Sends what a Sender is told to. A body shorter than its content-length is a reset, a longer one
  // is cut, as over HTTP/1.
  void queue_data(Buffer&& data, bool end);
  void queue_trailers(const HeaderMap& trailers);
  void pause() { ++paused; }
  void resume();

  // The end of the body did not come with its last bytes and no trailers wait either.
  bool end_waits() const { return (incoming_end || input_cut) && !end_delivered; }
  bool has_output() const { return !outgoing.empty() || (out_end && !out_done); }
  void clear();  // for the next exchange

  H2Connection* connection = nullptr;
  Receiver* receiver = nullptr;
  std::int32_t id = 0;           // 0: not on the wire
  std::uint32_t generation = 0;  // grows when it is recycled
  std::size_t slot = 0;          // among the connection's streams

  // What arrives.
  Buffer incoming;
  HeadPtr incoming_trailers;
  std::size_t unconsumed = 0;  // delivered and not given back to the window
  std::uint64_t body_bytes = 0;
  std::uint64_t received = 0;
  int paused = 0;
  bool head_received = false;
  bool incoming_end = false;  // the peer has sent it
  bool input_cut = false;     // what more comes is not wanted: the receiver gets the end without it
  bool end_delivered = false;

  // What leaves.
  Buffer outgoing;
  HeadPtr outgoing_trailers;
  std::optional<std::uint64_t> length_left;
  std::uint64_t sent = 0;
  std::uint64_t end_mark = 0;  // of the connection's bytes, when out_done
  std::size_t high_watermark = 0;
  bool head_sent = false;
  bool drop_body = false;  // the answer has none whatever is sent
  bool out_end = false;    // everything was handed over
  bool out_done = false;   // END_STREAM is serialised
  bool deferred = false;   // nghttp2 waits for more to send
  bool was_above = false;  // above the high watermark since the last on_writable

  Nanoseconds receive_deadline = 0;  // for the next bytes; 0: none
  Nanoseconds send_deadline = 0;
  bool session_closed = false;  // nghttp2 has forgotten it
  bool ready = false;           // queued in the connection
  std::string failure;          // found within a call of its owner; told afterwards

 protected:
  H2Stream() = default;
};

}  // namespace heddle::http
