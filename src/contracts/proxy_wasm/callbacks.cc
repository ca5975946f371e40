#include "contracts/proxy_wasm/callbacks.h"

#include <utility>

namespace heddle::proxy_wasm {
namespace {

constexpr std::array<std::string_view, kCallbackCount> kExportNames = {
    "start",
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_queue_ready",
    "proxy_on_http_call_response",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
    "proxy_on_foreign_function",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_delete",
};

template <typename Signature>
bool bind_one(sandbox::Instance& instance, std::string_view name,
              sandbox::GuestFunction<Signature>& out, Error& error) {
  auto found = instance.function<Signature>(name);
  if (!found) {
    error = std::move(found.error());
    return false;
  }
  out = *found;
  return true;
}

// For exports of which several forms are in use: one of another type is not ours to call.
template <typename Signature>
void bind_if_fits(sandbox::Instance& instance, std::string_view name,
                  sandbox::GuestFunction<Signature>& out) {
  if (auto found = instance.function<Signature>(name)) out = *found;
}

}  // namespace

std::string_view export_name(Callback callback) {
  return kExportNames.at(static_cast<std::size_t>(callback));
}

std::string_view short_name(Callback callback) {
  std::string_view name = export_name(callback);
  if (name.starts_with("proxy_")) name.remove_prefix(6);
  return name;
}

Result<void> Callbacks::bind(sandbox::Instance& instance, const CallbackSet& wanted) {
  Error error;
  const auto is_wanted = [&](Callback callback) {
    return wanted[static_cast<std::size_t>(callback)];
  };
  const auto one = [&](Callback callback, auto& out) {
    return !is_wanted(callback) || bind_one(instance, export_name(callback), out, error);
  };
  bind_if_fits(instance, "_initialize", initialize);
  bind_if_fits(instance, "_start", start);
  bind_if_fits(instance, "main", main);
  bind_if_fits(instance, "__main_void", main_void);
  bind_if_fits(instance, "proxy_on_memory_allocate", allocate);
  if (!allocate) bind_if_fits(instance, "malloc", allocate);
  if (is_wanted(Callback::kRequestHeaders)) {
    bind_if_fits(instance, "proxy_on_request_headers", request_headers);
    bind_if_fits(instance, "proxy_on_request_headers", request_headers_0_1);
  }
  if (is_wanted(Callback::kResponseHeaders)) {
    bind_if_fits(instance, "proxy_on_response_headers", response_headers);
    bind_if_fits(instance, "proxy_on_response_headers", response_headers_0_1);
  }

  const bool bound = one(Callback::kContextCreate, context_create) &&
                     one(Callback::kVmStart, vm_start) && one(Callback::kConfigure, configure) &&
                     one(Callback::kTick, tick) && one(Callback::kQueueReady, queue_ready) &&
                     one(Callback::kHttpCallResponse, http_call_response) &&
                     one(Callback::kGrpcReceiveInitialMetadata, grpc_receive_initial_metadata) &&
                     one(Callback::kGrpcReceive, grpc_receive) &&
                     one(Callback::kGrpcReceiveTrailingMetadata, grpc_receive_trailing_metadata) &&
                     one(Callback::kGrpcClose, grpc_close) &&
                     one(Callback::kForeignFunction, foreign_function) &&
                     one(Callback::kRequestBody, request_body) &&
                     one(Callback::kRequestTrailers, request_trailers) &&
                     one(Callback::kResponseBody, response_body) &&
                     one(Callback::kResponseTrailers, response_trailers) &&
                     one(Callback::kNewConnection, new_connection) &&
                     one(Callback::kDownstreamData, downstream_data) &&
                     one(Callback::kUpstreamData, upstream_data) &&
                     one(Callback::kDownstreamClose, downstream_close) &&
                     one(Callback::kUpstreamClose, upstream_close) && one(Callback::kDone, done) &&
                     one(Callback::kLog, log) && one(Callback::kDelete, del);
  if (!bound) return std::unexpected(std::move(error));
  return {};
}

}  // namespace heddle::proxy_wasm
