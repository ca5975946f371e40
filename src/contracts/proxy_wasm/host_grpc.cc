// gRPC calls and streams (Proxy-Wasm specification 0.2.1, "gRPC calls"). The Rust SDK expects OK,
// PARSE_FAILURE or INTERNAL_FAILURE of an opening call, and OK, NOT_FOUND or (grpc_send)
// BAD_ARGUMENT of the others.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "contracts/proxy_wasm/grpc_calls.h"
#include "contracts/proxy_wasm/header_rules.h"
#include "contracts/proxy_wasm/host_call.h"
#include "contracts/proxy_wasm/pairs.h"
#include "contracts/proxy_wasm/permitted_hosts.h"

namespace heddle::proxy_wasm {
namespace {

// Of a call without one, so that what nobody ends is ended all the same, as an http_call is.
constexpr std::chrono::milliseconds kDefaultTimeout{60'000};

struct Opening {
  GrpcTarget target;
  bool permit_address = false;
  bool from_service = false;  // named by a GrpcService
};

Status refuse(Vm& vm, std::string_view why, std::string_view upstream, Status status) {
  vm.log().write(LogLevel::kWarn, fmt::format("gRPC call refused: {}", why), vm.request_id(),
                 "upstream", upstream.substr(0, 200));
  return status;
}

// A name that is configured is a name, even when its bytes happen to parse as a GrpcService.
Opening resolve(Vm& vm, std::string_view given) {
  Opening out;
  const extension::UpstreamDirectory* upstreams = vm.version().services.upstreams;
  const bool known =
      vm.worker() != nullptr && upstreams != nullptr && upstreams->exists(*vm.worker(), given);
  if (!known) {
    if (auto service = parse_grpc_service(given)) {
      out.target = std::move(*service);
      out.from_service = true;
    }
  }
  if (!out.from_service) {
    out.target.upstream = given;
    out.target.authority = given;
  }
  out.permit_address = is_permitted(vm.spec().permitted_hosts, out.target.upstream);
  return out;
}

// Nothing: HTTP does not allow them.
std::optional<services::GrpcRequest> make_request(const GrpcTarget& target,
                                                  std::string_view service, std::string_view method,
                                                  std::string_view metadata) {
  services::GrpcRequest out;
  out.authority = target.authority;
  out.path = fmt::format("/{}/{}", service, method);
  if (!is_allowed(MapType::kRequestHeaders, ":path", out.path)) return std::nullopt;
  const auto pairs = parse_pairs(metadata);
  if (!pairs) return std::nullopt;
  const auto add = [&](std::string_view name, std::string_view value) {
    const std::string_view canonical = canonical_name(MapType::kRequestHeaders, name);
    if (!is_allowed(MapType::kRequestHeaders, canonical, value)) return false;
    std::string lower(canonical);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (!services::is_grpc_header(lower)) out.metadata.emplace_back(std::move(lower), value);
    return true;
  };
  for (const auto& [name, value] : target.metadata) {
    if (!add(name, value)) return std::nullopt;
  }
  for (const auto& [name, value] : *pairs) {
    if (!add(name, value)) return std::nullopt;
  }
  return out;
}

// The arguments that both opening calls have, as the guest passed them.
struct Arguments {
  std::string_view upstream;
  std::string_view service;
  std::string_view method;
  std::string_view metadata;
  std::string_view message;
};

Status open(Vm& vm, GrpcCalls::Kind kind, const Arguments& given, std::chrono::milliseconds timeout,
            GuestPtr token_out) {
  if (!vm.has_context()) return Status::kInternalFailure;
  const Opening opening = resolve(vm, given.upstream);
  const GrpcTarget& target = opening.target;
  if (target.is_address && (target.needs_tls || !opening.permit_address)) {
    return refuse(
        vm,
        target.needs_tls
            ? "google_grpc with TLS credentials; configure an upstream with `tls` and name it"
            : "permissions.http does not list the address",
        target.upstream, Status::kInternalFailure);
  }
  const Status unknown = opening.from_service ? Status::kInternalFailure : Status::kParseFailure;
  if (!is_allowed(MapType::kRequestHeaders, ":authority", target.authority)) {
    return refuse(vm, "no upstream can have this name", target.upstream, unknown);
  }
  auto request = make_request(target, given.service, given.method, given.metadata);
  if (!request) {
    return refuse(vm, "service, method or metadata that HTTP does not allow", target.upstream,
                  Status::kInternalFailure);
  }
  request->timeout = timeout.count() > 0 ? timeout : target.timeout;
  if (kind == GrpcCalls::Kind::kCall && request->timeout.count() == 0) {
    request->timeout = kDefaultTimeout;
  }
  const auto token =
      vm.root().grpc().open(kind, target, opening.permit_address, *request, given.message);
  if (!token) {
    return refuse(vm, token.error().message, target.upstream,
                  token.error().kind == ErrorKind::kNotFound ? unknown : Status::kInternalFailure);
  }
  vm.instance().memory().store(token_out, *token);
  return Status::kOk;
}

Status grpc_call(Vm& vm, GuestPtr upstream, GuestSize upstream_size, GuestPtr service,
                 GuestSize service_size, GuestPtr method, GuestSize method_size, GuestPtr metadata,
                 GuestSize metadata_size, GuestPtr message, GuestSize message_size,
                 std::uint32_t timeout_ms, GuestPtr token_out) {
  const GuestMemory memory = vm.instance().memory();
  const auto name = memory.view(upstream, upstream_size);
  const auto service_name = memory.view(service, service_size);
  const auto method_name = memory.view(method, method_size);
  const auto pairs = memory.view(metadata, metadata_size);
  const auto bytes = memory.view(message, message_size);
  if (!name || !service_name || !method_name || !pairs || !bytes ||
      !memory.view(token_out, sizeof(GuestPtr))) {
    return Status::kInvalidMemoryAccess;
  }
  return open(vm, GrpcCalls::Kind::kCall, {*name, *service_name, *method_name, *pairs, *bytes},
              std::chrono::milliseconds(timeout_ms), token_out);
}

Status grpc_stream(Vm& vm, GuestPtr upstream, GuestSize upstream_size, GuestPtr service,
                   GuestSize service_size, GuestPtr method, GuestSize method_size,
                   GuestPtr metadata, GuestSize metadata_size, GuestPtr token_out) {
  const GuestMemory memory = vm.instance().memory();
  const auto name = memory.view(upstream, upstream_size);
  const auto service_name = memory.view(service, service_size);
  const auto method_name = memory.view(method, method_size);
  const auto pairs = memory.view(metadata, metadata_size);
  if (!name || !service_name || !method_name || !pairs ||
      !memory.view(token_out, sizeof(GuestPtr))) {
    return Status::kInvalidMemoryAccess;
  }
  return open(vm, GrpcCalls::Kind::kStream, {*name, *service_name, *method_name, *pairs, {}},
              std::chrono::milliseconds(0), token_out);
}

Status grpc_send(Vm& vm, std::uint32_t token, GuestPtr message, GuestSize size, std::uint32_t end) {
  const auto bytes = vm.instance().memory().view(message, size);
  if (!bytes) return Status::kInvalidMemoryAccess;
  return vm.root().grpc().send(token, *bytes, end != 0);
}
Status grpc_cancel(Vm& vm, std::uint32_t token) {
  return vm.root().grpc().cancel(token);
}
Status grpc_close(Vm& vm, std::uint32_t token) {
  return vm.root().grpc().close(token);
}

constexpr std::array kTable = {
    host_call<&grpc_call>("proxy_grpc_call"),   host_call<&grpc_stream>("proxy_grpc_stream"),
    host_call<&grpc_send>("proxy_grpc_send"),   host_call<&grpc_cancel>("proxy_grpc_cancel"),
    host_call<&grpc_close>("proxy_grpc_close"),
};

}  // namespace

std::span<const HostFunction> grpc_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
