// Buffers (Proxy-Wasm specification 0.2.1, "Buffers"): bodies, configurations, answers to calls.
#include <algorithm>
#include <array>
#include <optional>

#include "contracts/proxy_wasm/host_call.h"

namespace heddle::proxy_wasm {
namespace {

// A readable buffer: bytes in one piece, or a body.
struct View {
  const http::Buffer* body = nullptr;
  std::string_view bytes;
  std::size_t size() const { return body != nullptr ? body->size() : bytes.size(); }
};

std::optional<View> view_of(const http::Buffer* body) {
  if (body == nullptr) return std::nullopt;
  return View{.body = body, .bytes = {}};
}

// What is on its way through the stream: empty in any other phase, as in Envoy.
View passing(const http::Buffer* body) {
  return View{.body = body, .bytes = {}};
}

std::optional<View> readable(Vm& vm, BufferType type) {
  switch (type) {
    case BufferType::kRequestBody:
      return passing(vm.http() != nullptr ? vm.http()->request_body() : nullptr);
    case BufferType::kResponseBody:
      return passing(vm.http() != nullptr ? vm.http()->response_body() : nullptr);
    case BufferType::kDownstreamData:
      return passing(vm.network() != nullptr ? vm.network()->downstream_data() : nullptr);
    case BufferType::kUpstreamData:
      return passing(vm.network() != nullptr ? vm.network()->upstream_data() : nullptr);
    case BufferType::kHttpCallResponseBody:
      return vm.call_response() != nullptr ? view_of(&vm.call_response()->body) : std::nullopt;
    case BufferType::kGrpcMessage:
      return view_of(vm.root().grpc().message());
    case BufferType::kForeignArguments:
      if (vm.foreign_arguments() == nullptr) return std::nullopt;
      return View{.body = nullptr, .bytes = *vm.foreign_arguments()};
    case BufferType::kVmConfiguration:
      return View{.body = nullptr, .bytes = vm.spec().vm_configuration};
    case BufferType::kPluginConfiguration:
      // Only while the root context is made, started and configured, as in Envoy.
      if (!vm.root().configuring()) return std::nullopt;
      return View{.body = nullptr,
                  .bytes = vm.spec().configuration ? std::string_view(*vm.spec().configuration)
                                                   : std::string_view()};
    default:
      return std::nullopt;
  }
}

// What lies beyond the end is cut off: many plugins ask for 0xffffffff bytes.
Status get_bytes(Vm& vm, std::uint32_t type, std::uint32_t start, std::uint32_t max,
                 GuestPtr data_out, GuestPtr size_out) {
  if (type > kMaxBufferType) return Status::kBadArgument;
  const auto view = readable(vm, static_cast<BufferType>(type));
  if (!view) return Status::kNotFound;
  const std::size_t from = std::min<std::size_t>(start, view->size());
  const std::size_t count = std::min<std::size_t>(max, view->size() - from);
  if (view->body == nullptr) return vm.give(view->bytes.substr(from, count), data_out, size_out);
  return vm.give(count, data_out, size_out,
                 [&](char* out) { view->body->copy_to(from, count, out); });
}

Status get_status(Vm& vm, std::uint32_t type, GuestPtr size_out, GuestPtr flags_out) {
  if (type > kMaxBufferType) return Status::kBadArgument;
  const auto view = readable(vm, static_cast<BufferType>(type));
  if (!view) return Status::kNotFound;
  const GuestMemory memory = vm.instance().memory();
  if (!memory.view(size_out, 4) || !memory.view(flags_out, 4)) return Status::kInvalidMemoryAccess;
  memory.store(size_out, static_cast<std::uint32_t>(view->size()));
  memory.store(flags_out, std::uint32_t{0});
  return Status::kOk;
}

// A body may be made larger than what the plugin may hold of it, but not than what it could build
// itself in one go.
bool fits(Vm& vm, std::size_t size) {
  if (size <= std::max(vm.spec().buffer_limit, vm.spec().memory_limit)) return true;
  vm.stats().limit_hit(Limit::kBody);
  vm.log().write(LogLevel::kWarn,
                 "the plugin made a body larger than its buffer_limit and memory_limit",
                 vm.request_id());
  return false;
}

http::Buffer* writable(Vm& vm, BufferType type) {
  extension::FilterHost* http = vm.http();
  if (http != nullptr && type == BufferType::kRequestBody) return http->request_body();
  if (http != nullptr && type == BufferType::kResponseBody) return http->response_body();
  extension::NetworkFilterHost* network = vm.network();
  if (network != nullptr && type == BufferType::kDownstreamData) return network->downstream_data();
  if (network != nullptr && type == BufferType::kUpstreamData) return network->upstream_data();
  return nullptr;
}

// start 0, size 0 prepends; start past the end appends; anything else replaces [start, start +
// size), cut to the body.
Status set_bytes(Vm& vm, std::uint32_t type, std::uint32_t start, std::uint32_t size, GuestPtr data,
                 GuestSize length) {
  if (type > kMaxBufferType) return Status::kBadArgument;
  const auto bytes = vm.instance().memory().view(data, length);
  if (!bytes) return Status::kInvalidMemoryAccess;
  http::Buffer* body = writable(vm, static_cast<BufferType>(type));
  if (body == nullptr) return Status::kBadArgument;
  const std::size_t from = std::min<std::size_t>(start, body->size());
  const std::size_t count = std::min<std::size_t>(size, body->size() - from);
  if (bytes->size() > count && !fits(vm, body->size() - count + bytes->size()))
    return Status::kBadArgument;
  if (from == body->size()) {
    body->append(*bytes);
  } else {
    body->replace(from, count, *bytes);
  }
  return Status::kOk;
}

// ABI 0.1.0 (superseded by buffers 6 and 7): the configuration of what is being started.
Status get_configuration(Vm& vm, GuestPtr data_out, GuestPtr size_out) {
  const auto view = readable(vm, BufferType::kPluginConfiguration);
  return vm.give(view ? view->bytes : std::string_view(), data_out, size_out);
}

constexpr std::array kTable = {
    host_call<&get_bytes>("proxy_get_buffer_bytes"),
    host_call<&get_status>("proxy_get_buffer_status"),
    host_call<&set_bytes>("proxy_set_buffer_bytes"),
    host_call<&get_configuration>("proxy_get_configuration"),
};

}  // namespace

std::span<const HostFunction> buffer_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
