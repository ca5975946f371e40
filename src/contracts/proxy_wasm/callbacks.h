// The callbacks that a module may export: their names, their types, and as functions of one
// instance.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "sandbox/instance.h"

namespace heddle::proxy_wasm {

// What the host calls, for metrics and messages.
enum class Callback : std::uint8_t {
  kStart,  // _initialize, _start, main
  kContextCreate,
  kVmStart,
  kConfigure,
  kTick,
  kQueueReady,
  kHttpCallResponse,
  kGrpcReceiveInitialMetadata,
  kGrpcReceive,
  kGrpcReceiveTrailingMetadata,
  kGrpcClose,
  kForeignFunction,
  kRequestHeaders,
  kRequestBody,
  kRequestTrailers,
  kResponseHeaders,
  kResponseBody,
  kResponseTrailers,
  kNewConnection,
  kDownstreamData,
  kUpstreamData,
  kDownstreamClose,
  kUpstreamClose,
  kDone,
  kLog,
  kDelete,
};
inline constexpr std::size_t kCallbackCount = static_cast<std::size_t>(Callback::kDelete) + 1;
using CallbackSet = std::bitset<kCallbackCount>;

// "proxy_on_request_headers"; "start" for kStart.
std::string_view export_name(Callback callback);
// "on_request_headers", as `phase:` and the metrics name it.
std::string_view short_name(Callback callback);

// The functions of one instance; those that the module lacks are empty.
struct Callbacks {
  template <typename Signature>
  using Function = sandbox::GuestFunction<Signature>;
  using Id = std::uint32_t;

  Function<void()> initialize;
  Function<void()> start;
  Function<std::int32_t(std::int32_t, std::int32_t)> main;
  Function<std::int32_t()> main_void;
  Function<std::uint32_t(std::uint32_t)> allocate;

  Function<void(Id, Id)> context_create;
  Function<std::uint32_t(Id, std::uint32_t)> vm_start;
  Function<std::uint32_t(Id, std::uint32_t)> configure;
  Function<void(Id)> tick;
  Function<void(Id, std::uint32_t)> queue_ready;
  Function<void(Id, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t)> http_call_response;
  Function<void(Id, std::uint32_t, std::uint32_t)> grpc_receive_initial_metadata;
  Function<void(Id, std::uint32_t, std::uint32_t)> grpc_receive;
  Function<void(Id, std::uint32_t, std::uint32_t)> grpc_receive_trailing_metadata;
  Function<void(Id, std::uint32_t, std::uint32_t)> grpc_close;
  Function<void(Id, std::uint32_t, std::uint32_t)> foreign_function;

  // Header callbacks have their third parameter (end of stream) since ABI 0.2.0, but modules exist
  // with either form under any marker.
  Function<std::uint32_t(Id, std::uint32_t, std::uint32_t)> request_headers;
  Function<std::uint32_t(Id, std::uint32_t)> request_headers_0_1;
  Function<std::uint32_t(Id, std::uint32_t, std::uint32_t)> request_body;
  Function<std::uint32_t(Id, std::uint32_t)> request_trailers;
  Function<std::uint32_t(Id, std::uint32_t, std::uint32_t)> response_headers;
  Function<std::uint32_t(Id, std::uint32_t)> response_headers_0_1;
  Function<std::uint32_t(Id, std::uint32_t, std::uint32_t)> response_body;
  Function<std::uint32_t(Id, std::uint32_t)> response_trailers;

  Function<std::uint32_t(Id)> new_connection;
  Function<std::uint32_t(Id, std::uint32_t, std::uint32_t)> downstream_data;
  Function<std::uint32_t(Id, std::uint32_t, std::uint32_t)> upstream_data;
  Function<void(Id, std::uint32_t)> downstream_close;
  Function<void(Id, std::uint32_t)> upstream_close;

  Function<std::uint32_t(Id)> done;
  Function<void(Id)> log;
  Function<void(Id)> del;

  // Those of `wanted`. The module passed check_module(), so types are right.
  Result<void> bind(sandbox::Instance& instance, const CallbackSet& wanted);
};

}  // namespace heddle::proxy_wasm
