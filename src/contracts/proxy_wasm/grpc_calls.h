// The gRPC calls and streams that one root context has under way, by token. Answers come as
// callbacks on the root context (Proxy-Wasm specification 0.2.1, "gRPC calls"; order as Envoy's,
// reference/proxy-wasm.md, section 8):
//
//   call    grpc_receive, or grpc_close with why there is no answer; never both
//   stream  grpc_receive_initial_metadata, grpc_receive*, grpc_receive_trailing_metadata,
//   grpc_close
//
// Nothing comes after a cancel, or when the VM has failed. Worker thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/proxy_wasm/abi.h"
#include "contracts/proxy_wasm/grpc_target.h"
#include "services/grpc_call.h"

namespace heddle::proxy_wasm {

class Root;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

class GrpcCalls {
 public:
  enum class Kind : std::uint8_t { kCall, kStream };

  explicit GrpcCalls(Root& root) : root_(root) {}
  ~GrpcCalls() { clear(); }
  GrpcCalls(const GrpcCalls&) = delete;
  GrpcCalls& operator=(const GrpcCalls&) = delete;

  // Returns the token. A call sends `message` and the end with it. kNotFound: no such upstream.
  Result<std::uint32_t> open(Kind kind, const GrpcTarget& target, bool permit_address,
                             const services::GrpcRequest& request, std::string_view message);
  Status send(std::uint32_t token, std::string_view message, bool end);
  // A call is cancelled; a stream is half-closed, and its events go on.
  Status close(std::uint32_t token);
  Status cancel(std::uint32_t token);
  // Cancels everything: the VM fails or goes.
  void clear();

  // Made by this context and not ended.
  std::size_t under_way(std::uint32_t context) const;

  // What the running callback is about; null when it is about something else.
  const http::Buffer* message() const { return message_; }
  const http::HeaderMap* initial_metadata() const { return initial_; }
  const http::HeaderMap* trailing_metadata() const { return trailing_; }

 private:
  class Call;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

  std::shared_ptr<Call> find(std::uint32_t token) const;
  void remove(const Call& call);

  Root& root_;
  std::vector<std::shared_ptr<Call>> calls_;
  const http::Buffer* message_ = nullptr;
  const http::HeaderMap* initial_ = nullptr;
  const http::HeaderMap* trailing_ = nullptr;
};

}  // namespace heddle::proxy_wasm
