// What services and contracts may ask of the gateway: calls to its upstreams by name.
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

namespace heddle::net {
class Worker;
}

namespace heddle::extension {

struct CallRequest {
  // With :method, :path and :authority.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::vector<std::pair<std::string, std::string>> trailers;
  std::chrono::milliseconds timeout{0};  // 0: none but the gateway's own
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
};

}  // namespace heddle::extension
