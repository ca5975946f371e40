// One gRPC call or stream of a plugin, on an HTTP/2 stream that somebody opened
// (grpc/doc/PROTOCOL-HTTP2.md). What comes is told to GrpcEvents; every way it can end is one
// on_close with a status. What a plugin is told when is Envoy's order (reference/proxy-wasm.md,
// section 8).
//
// Belongs to one worker.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/stream.h"
#include "net/timer.h"
#include "services/grpc_frames.h"
#include "services/grpc_status.h"

namespace heddle::net {
class Worker;
}

namespace heddle::services {

struct GrpcRequest {
  std::string authority;
  std::string path;                                           // "/package.Service/Method"
  std::vector<std::pair<std::string, std::string>> metadata;  // names and values that HTTP allows
  std::chrono::milliseconds timeout{0};                       // until the end; 0: none
};

// Headers that are the protocol's own: metadata of these names is left out.
bool is_grpc_header(std::string_view lower_name);

class GrpcEvents {
 public:
  // Not when the answer is nothing but a status.
  virtual void on_initial_metadata(http::HeadPtr metadata) = 0;
  virtual void on_message(http::Buffer message) = 0;
  // The end, once: the trailers (null: none came) with the status. Nothing comes after it.
  virtual void on_close(http::HeadPtr trailers, GrpcStatus status) = 0;

 protected:
  ~GrpcEvents() = default;
};

// Held by shared_ptr: an event may drop the owner's reference. Destroying it cancels; the stream's
// receiver must not be used after that, which reset() guarantees.
class GrpcCall final : public http::Receiver, public std::enable_shared_from_this<GrpcCall> {
 public:
  struct Limits {
    std::size_t max_message = 0;  // received
    std::size_t max_queued = 0;   // sent beyond the stream's high watermark
  };

  // `events` outlives the call or cancel() was called.
  GrpcCall(net::Worker& worker, const Limits& limits, GrpcEvents& events);
  ~GrpcCall() override;
  GrpcCall(const GrpcCall&) = delete;
  GrpcCall& operator=(const GrpcCall&) = delete;

  // Sends the head. `sender` was opened with this as its receiver; it stays the opener's.
  void start(http::Sender& sender, const GrpcRequest& request);
  // False: too much waits to be sent, or the end was sent. The message was not sent.
  bool send(std::string_view message, bool end);
  // Half-closes: nothing more will be sent. Again: no effect.
  void end();
  // No event comes any more.
  void cancel();

  // http::Receiver
  void on_informational(http::HeadPtr head) override;
  void on_head(http::HeadPtr head, bool end) override;
  void on_data(http::Buffer& data, bool end) override;
  void on_trailers(http::HeadPtr trailers) override;
  void on_reset(http::StreamError error, std::string_view detail) override;
  void on_writable() override {}
  void on_complete() override;

 private:
  void read_messages();
  void close_with(GrpcStatus status, http::HeadPtr trailers = nullptr);
  void fail(GrpcCode code, std::string message) {
    close_with({.code = code, .message = std::move(message), .local = true});
  }
  void finish();
  void reset_stream();

  net::Worker& worker_;
  Limits limits_;
  GrpcEvents* events_;  // null: cancelled, or closed
  http::Sender* sender_ = nullptr;
  GrpcReader reader_;
  net::Timer timer_;
  bool answered_ = false;  // a head came
  bool request_ended_ = false;
  bool ended_ = false;  // the status is known
  GrpcStatus status_;
  http::HeadPtr trailers_;
  std::size_t queued_ = 0;  // sent since the stream was above its watermark
};

}  // namespace heddle::services
