// Calls to other services: specification v0.2.1 "HTTP calls", "gRPC calls", "Foreign function interface".
#include <array>
#include <string>

#include "contracts/pw/host_api.h"
#include "contracts/pw/pairs.h"

namespace heddle::proxy_wasm {
namespace {

void warn(Vm& vm, const std::string& message) { vm.log().write(LogLevel::kWarn, message, vm.request_id()); }

// "auth.internal:443" against "auth.internal:443", "*.internal:443", "*".
bool host_permitted(const extension::PluginSpec& spec, std::string_view address) {
  for (const std::string& pattern : spec.permitted_hosts) {
    if (pattern == "*" || pattern == address) return true;
    if (pattern.starts_with("*.") && address.size() > pattern.size() - 1 &&
        address.ends_with(std::string_view(pattern).substr(1))) {
      return true;
    }
  }
  return false;
}

// Copies pairs for the call; refuses what HTTP does not allow.
bool copy_pairs(const Pairs& pairs, bool pseudo, std::vector<std::pair<std::string, std::string>>& out) {
  for (const auto& [name, value] : pairs) {
    const bool pseudo_name = pseudo && (name == ":method" || name == ":path" || name == ":authority" || name == ":scheme");
    if (!(pseudo_name || http::is_token(name)) || !http::is_field_value(value)) return false;
    out.emplace_back(name, value);
  }
  return true;
}

bool has(const extension::CallRequest& request, std::string_view name) {
  for (const auto& header : request.headers) {
    if (header.first == name) return true;
  }
  return false;
}

HostStatus http_call(Instance& instance, GuestPtr upstream, GuestSize upstream_size, GuestPtr headers,
                     GuestSize headers_size, GuestPtr body, GuestSize body_size, GuestPtr trailers,
                     GuestSize trailers_size, std::int32_t timeout_ms, GuestPtr token_out) {
  Vm& vm = vm_of(instance);
  const auto name = text(instance, upstream, upstream_size);
  const auto header_bytes = text(instance, headers, headers_size);
  const auto body_bytes = text(instance, body, body_size);
  const auto trailer_bytes = text(instance, trailers, trailers_size);
  if (!name || !header_bytes || !body_bytes || !trailer_bytes || !writable(instance, token_out)) {
    return status(Status::kInvalidMemoryAccess);
  }
  const auto header_pairs = parse_pairs(*header_bytes);
  const auto trailer_pairs = parse_pairs(*trailer_bytes);
  extension::CallRequest request;
  if (!header_pairs || !trailer_pairs || timeout_ms < 0 || !copy_pairs(*header_pairs, true, request.headers) ||
      !copy_pairs(*trailer_pairs, false, request.trailers)) {
    warn(vm, "http_call: bad headers, trailers or timeout");
    return status(Status::kBadArgument);
  }
  if (!has(request, ":method") || !has(request, ":path") || !has(request, ":authority")) {
    warn(vm, "http_call: :method, :path and :authority are needed");
    return status(Status::kBadArgument);
  }
  request.body = *body_bytes;
  request.timeout = std::chrono::milliseconds(timeout_ms);
  const std::string target(*name);
  const auto token = vm.http_call(target, host_permitted(vm.code().spec, target), std::move(request), vm.effective());
  if (!token) {
    warn(vm, "http_call to \"" + target + "\": " + token.error().message);
    return status(token.error().kind == ErrorKind::kNotFound ? Status::kBadArgument : Status::kInternalFailure);
  }
  instance.memory().store(token_out, *token);
  return status(Status::kOk);
}

// gRPC needs HTTP/2 to the upstream, which this version does not speak: the guest gets the failure that every SDK knows.
HostStatus no_grpc(Vm& vm, std::string_view call) {
  warn(vm, std::string(call) + ": gRPC calls are not in this version of Heddle; the call fails");
  return status(Status::kInternalFailure);
}

HostStatus grpc_call(Instance& instance, GuestPtr /*upstream*/, GuestSize /*size*/, GuestPtr /*service*/,
                     GuestSize /*size*/, GuestPtr /*method*/, GuestSize /*size*/, GuestPtr /*metadata*/,
                     GuestSize /*size*/, GuestPtr /*message*/, GuestSize /*size*/, std::uint32_t /*timeout*/,
                     GuestPtr /*token*/) {
  return no_grpc(vm_of(instance), "grpc_call");
}

HostStatus grpc_stream(Instance& instance, GuestPtr /*upstream*/, GuestSize /*size*/, GuestPtr /*service*/,
                       GuestSize /*size*/, GuestPtr /*method*/, GuestSize /*size*/, GuestPtr /*metadata*/,
                       GuestSize /*size*/, GuestPtr /*token*/) {
  return no_grpc(vm_of(instance), "grpc_stream");
}

// No gRPC token was ever given out.
HostStatus grpc_send(Instance& /*instance*/, std::uint32_t /*token*/, GuestPtr /*message*/, GuestSize /*size*/,
                     std::uint32_t /*end*/) {
  return status(Status::kNotFound);
}
HostStatus grpc_token(Instance& /*instance*/, std::uint32_t /*token*/) { return status(Status::kNotFound); }

// Of the last gRPC event or failed call; Envoy's answer for a call without a response.
HostStatus get_status(Instance& instance, GuestPtr code_out, GuestPtr data_out, GuestPtr size_out) {
  Vm& vm = vm_of(instance);
  if (!writable(instance, code_out) || !writable(instance, data_out) || !writable(instance, size_out)) {
    return status(Status::kInvalidMemoryAccess);
  }
  constexpr std::uint32_t kBrokenConnection = 11;
  const bool failed = vm.running() == Callback::kHttpCallResponse && vm.call_response() == nullptr;
  if (!vm.give(failed ? "reset" : "", data_out, size_out)) return status(Status::kInvalidMemoryAccess);
  instance.memory().store(code_out, failed ? kBrokenConnection : 0U);
  return status(Status::kOk);
}

HostStatus call_foreign_function(Instance& instance, GuestPtr name, GuestSize name_size, GuestPtr arguments,
                                 GuestSize arguments_size, GuestPtr /*data_out*/, GuestPtr /*size_out*/) {
  Vm& vm = vm_of(instance);
  const auto wanted = text(instance, name, name_size);
  if (!wanted || !text(instance, arguments, arguments_size)) return status(Status::kInvalidMemoryAccess);
  if (*wanted == "clear_route_cache") {
    if (HttpContext* stream = vm.effective()) stream->host().clear_route();
    return status(Status::kOk);
  }
  warn(vm, "foreign function \"" + std::string(wanted->substr(0, 64)) + "\" is not known here");
  return status(Status::kNotFound);
}

constexpr std::array kTable = {
    sandbox::host_function<&http_call>("env", "proxy_http_call"),
    sandbox::host_function<&grpc_call>("env", "proxy_grpc_call"),
    sandbox::host_function<&grpc_stream>("env", "proxy_grpc_stream"),
    sandbox::host_function<&grpc_send>("env", "proxy_grpc_send"),
    sandbox::host_function<&grpc_token>("env", "proxy_grpc_cancel"),
    sandbox::host_function<&grpc_token>("env", "proxy_grpc_close"),
    sandbox::host_function<&get_status>("env", "proxy_get_status"),
    sandbox::host_function<&call_foreign_function>("env", "proxy_call_foreign_function"),
};

}  // namespace

std::span<const HostFunction> call_functions() { return kTable; }

}  // namespace heddle::proxy_wasm
