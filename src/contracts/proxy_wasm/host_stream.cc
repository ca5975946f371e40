// The stream and the contexts (Proxy-Wasm specification 0.2.1, "HTTP streams", "Context
// lifecycle"). What these calls set in motion happens after the callback has returned: FilterHost
// sees to it.
#include <algorithm>
#include <array>
#include <string>

#include "contracts/proxy_wasm/header_rules.h"
#include "contracts/proxy_wasm/host_call.h"
#include "contracts/proxy_wasm/pairs.h"

namespace heddle::proxy_wasm {
namespace {

constexpr std::int32_t kMaxGrpcStatus = 16;

// Envoy cannot go on with upstream data that was held back; here both directions can.
void continue_connection(Vm& vm, extension::NetworkFilterHost& network, StreamType stream) {
  if (stream == StreamType::kDownstream) {
    vm.context().paused[0] = false;
    network.continue_downstream();
  } else if (stream == StreamType::kUpstream) {
    vm.context().paused[1] = false;
    network.continue_upstream();
  }
}

Status continue_stream(Vm& vm, std::uint32_t type) {
  if (type > static_cast<std::uint32_t>(StreamType::kUpstream)) return Status::kBadArgument;
  const auto stream = static_cast<StreamType>(type);
  if (vm.network() != nullptr) {
    continue_connection(vm, *vm.network(), stream);
    return Status::kOk;
  }
  if (stream == StreamType::kUpstream) return Status::kBadArgument;  // it cannot be held back
  extension::FilterHost* http = vm.http();
  if (http == nullptr || stream == StreamType::kDownstream) return Status::kOk;
  vm.context().paused.at(type) = false;
  if (stream == StreamType::kRequest) {
    http->continue_request();
  } else {
    http->continue_response();
  }
  return Status::kOk;
}

Status continue_request(Vm& vm) {
  return continue_stream(vm, static_cast<std::uint32_t>(StreamType::kRequest));
}
Status continue_response(Vm& vm) {
  return continue_stream(vm, static_cast<std::uint32_t>(StreamType::kResponse));
}

Status close_stream(Vm& vm, std::uint32_t type) {
  if (type > static_cast<std::uint32_t>(StreamType::kUpstream)) return Status::kBadArgument;
  if (vm.http() != nullptr) vm.http()->reset_stream();
  const bool connection = type >= static_cast<std::uint32_t>(StreamType::kDownstream);
  if (vm.network() != nullptr && connection) vm.network()->close();
  return Status::kOk;
}

Status clear_route_cache(Vm& vm) {
  if (vm.http() != nullptr) vm.http()->clear_route();
  return Status::kOk;
}

// Headers that cannot be sent are left out, with a log line; framing is Heddle's own.
void add_reply_headers(Vm& vm, std::string_view bytes, extension::LocalReply& reply) {
  const auto pairs = parse_pairs(bytes);
  if (!pairs) {
    vm.log().write(LogLevel::kWarn,
                   "the plugin gave a response headers that are no map; sent without them",
                   vm.request_id());
    return;
  }
  for (const auto& [name, value] : *pairs) {
    if (name.starts_with(':') || http::equals_ignoring_case(name, "content-length") ||
        http::equals_ignoring_case(name, "transfer-encoding")) {
      continue;
    }
    if (!is_allowed(MapType::kResponseHeaders, name, value)) {
      vm.log().write(LogLevel::kWarn,
                     "the plugin gave a response a header that HTTP does not allow; left out",
                     vm.request_id(), "header", name.substr(0, 100));
      continue;
    }
    reply.headers.emplace_back(name, value);
  }
}

Status send_local_response(Vm& vm, std::uint32_t status, GuestPtr details, GuestSize details_size,
                           GuestPtr body, GuestSize body_size, GuestPtr headers,
                           GuestSize headers_size, std::int32_t grpc_status) {
  const GuestMemory memory = vm.instance().memory();
  const auto details_view = memory.view(details, details_size);
  const auto body_view = memory.view(body, body_size);
  const auto headers_view = memory.view(headers, headers_size);
  if (!details_view || !body_view || !headers_view) return Status::kInvalidMemoryAccess;
  extension::FilterHost* http = vm.http();
  if (http == nullptr) return Status::kOk;  // as Envoy: there is nothing to answer
  extension::LocalReply reply;
  reply.status =
      status <= 999 ? static_cast<int>(status) : 0;  // the gateway sends an impossible one as 500
  reply.details = details_view->substr(0, 1000);
  std::ranges::replace_if(
      reply.details, [](char c) { return static_cast<unsigned char>(c) <= ' '; }, '_');
  reply.body = *body_view;
  reply.grpc_status = grpc_status >= 0 && grpc_status <= kMaxGrpcStatus ? grpc_status : -1;
  add_reply_headers(vm, *headers_view, reply);
  vm.context().replied = true;
  http->send_local_reply(std::move(reply));
  return Status::kOk;
}

Status set_effective_context(Vm& vm, std::uint32_t id) {
  return vm.set_effective_context(id) ? Status::kOk : Status::kBadArgument;
}

// Only the root context of a plugin on its way out waits for it; elsewhere it has no effect, and
// the Rust SDK accepts nothing but OK.
Status done(Vm& vm) {
  vm.root().proxy_done();
  return Status::kOk;
}

constexpr std::array kTable = {
    host_call<&continue_stream>("proxy_continue_stream"),
    host_call<&close_stream>("proxy_close_stream"),
    host_call<&continue_request>("proxy_continue_request"),    // ABI 0.1.0
    host_call<&continue_response>("proxy_continue_response"),  // ABI 0.1.0
    host_call<&clear_route_cache>("proxy_clear_route_cache"),  // ABI 0.1.0
    host_call<&send_local_response>("proxy_send_local_response"),
    host_call<&send_local_response>("proxy_send_http_response"),  // its name in early TinyGo SDKs
    host_call<&set_effective_context>("proxy_set_effective_context"),
    host_call<&done>("proxy_done"),
};

template <auto Function>
void without_result(Instance& instance) {
  Vm& vm = instance.user<Vm>();
  if (vm.instantiated()) Function(vm);
}

constexpr std::array kWithoutResult = {
    sandbox::host_function<&without_result<&continue_request>>("env", "proxy_continue_request"),
    sandbox::host_function<&without_result<&continue_response>>("env", "proxy_continue_response"),
    sandbox::host_function<&without_result<&clear_route_cache>>("env", "proxy_clear_route_cache"),
};

}  // namespace

std::span<const HostFunction> stream_functions() {
  return kTable;
}
std::span<const HostFunction> functions_without_result() {
  return kWithoutResult;
}

}  // namespace heddle::proxy_wasm
