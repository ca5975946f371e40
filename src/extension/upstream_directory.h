// What services and contracts may ask of the gateway: calls to its upstreams by name, whole ones
// and streams.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/buffer.h"
#include "http/message.h"
#include "http/stream.h"

namespace heddle::net {
class Worker;
}

namespace heddle::extension {

struct CallRequest {
  std::string caller;  // the plugin, for the log
  // With :method, :path and :authority.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::vector<std::pair<std::string, std::string>> trailers;
  std::chrono::milliseconds timeout{0};  // 0: the gateway's own
};

struct CallResponse {
  http::HeadPtr head;
  http::Buffer body;
  http::HeadPtr trailers;  // null when there are none
};

// A call under way. Destroying it cancels: the callback does not come.
class PendingCall {
 public:
  virtual ~PendingCall() = default;
};

// A stream whose messages the caller sends and receives itself. The sender lives as
// HttpOrigin::start says. Whoever opened it resets the sender, or waits for on_complete or
// on_reset, before destroying this.
class OpenStream {
 public:
  virtual ~OpenStream() = default;
  virtual http::Sender& sender() = 0;
};

class UpstreamDirectory {
 public:
  virtual ~UpstreamDirectory() = default;

  // Whether an upstream of this name is configured now.
  virtual bool exists(net::Worker& worker, std::string_view upstream) const = 0;

  // Calls `upstream` (a configured name, or "host:port" when `permit_address` is true) and collects
  // the answer. Fails at once (kNotFound) for an unknown name. `done` comes exactly once, as an
  // event of its own, on the same worker. An upstream that cannot be reached or breaks off gives a
  // response of status 503, a timeout one of 504, both with Envoy's texts (reference/envoy.md,
  // Callouts); an error means that there is no response at all (too large: kLimit).
  virtual Result<std::unique_ptr<PendingCall>> call(
      net::Worker& worker, std::string_view upstream, bool permit_address, CallRequest request,
      std::move_only_function<void(Result<CallResponse>)> done) = 0;

  // Opens an HTTP/2 stream to `upstream` (as for call()), whatever protocol it is configured with.
  // Fails at once (kNotFound) for an unknown name. No event comes from within open().
  virtual Result<std::unique_ptr<OpenStream>> open_stream(net::Worker& worker,
                                                          std::string_view upstream,
                                                          bool permit_address,
                                                          http::Receiver& receiver) = 0;
};

}  // namespace heddle::extension
