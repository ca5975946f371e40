// One HTTP exchange on one connection, seen from above the codec: what h1 today and h2 later
// implement, on the server and on the client side alike. Everything runs on one worker.
//
//   Receiver  gets the message that arrives   (a request on a server stream, a response on a client
//   stream) Sender    sends the message that leaves   (a response on a server stream, a request on
//   a client stream)
//
// Order of events: informational* head data* [trailers], with `end` on the last one; or reset at
// any point, after which nothing comes. The end of a body whose length was not known with its last
// bytes comes as an empty data event, as Envoy shows HTTP/1 bodies to plugins (reference/envoy.md,
// Streams).
#pragma once

#include <cstdint>
#include <string_view>

#include "http/buffer.h"
#include "http/message.h"

namespace heddle::http {

enum class StreamError : std::uint8_t {
  kClosed,          // the peer closed or reset the connection
  kRefused,         // could not connect
  kConnectTimeout,  // no connection in time
  kTimeout,         // the peer was too slow
  kProtocol,        // the peer broke the protocol
  kTooLarge,        // the peer passed a limit
  kCancelled,       // this side gave up
  kOverflow,        // a limit of this side: connections, requests, an open circuit breaker
  kUnavailable,     // there is nobody to send to
};
std::string_view to_string(StreamError error);

class Receiver {
 public:
  virtual ~Receiver() = default;
  // 1xx but 101; client streams only. `head` may be taken.
  virtual void on_informational(HeadPtr head) = 0;
  virtual void on_head(HeadPtr head, bool end) = 0;
  // Takes what it wants of `data`; the rest is dropped.
  virtual void on_data(Buffer& data, bool end) = 0;
  virtual void on_trailers(HeadPtr trailers) = 0;
  // The exchange cannot be completed; the stream is gone when this returns. `detail` is for the
  // log.
  virtual void on_reset(StreamError error, std::string_view detail) = 0;
  // The sender's queue fell below the low watermark.
  virtual void on_writable() = 0;
  // Server streams: everything sent is with the kernel, the stream is gone when this returns.
  // Client streams: request and response are complete, the stream is gone when this returns.
  virtual void on_complete() = 0;
};

class Sender {
 public:
  virtual ~Sender() = default;
  // A 1xx (server) goes out at once and does not count as the head.
  virtual void send_informational(const HeaderMap& headers) = 0;
  // Framing is the codec's: content-length in `headers` is kept and enforced, otherwise chunked (or
  // close) is chosen. Writes no hop-by-hop header but its own. Refuses nothing: names and values
  // were checked when they were set.
  virtual void send_head(const HeaderMap& headers, bool end) = 0;
  virtual void send_data(Buffer&& data, bool end) = 0;
  virtual void send_trailers(const HeaderMap& trailers) = 0;
  // Gives up the exchange; no further event comes. On HTTP/1 this closes the connection unless
  // nothing is left open.
  virtual void reset(StreamError error) = 0;
  // Back-pressure: stops and starts the events on_data of the message that arrives. Counts, as
  // calls nest.
  virtual void pause_receiving() = 0;
  virtual void resume_receiving() = 0;
  // Bytes accepted and not yet with the kernel; above the high watermark the caller should stop
  // sending.
  virtual bool above_watermark() const = 0;
  virtual std::uint64_t bytes_sent() const = 0;      // on the wire, head included
  virtual std::uint64_t bytes_received() const = 0;  // on the wire, head included
};

}  // namespace heddle::http
