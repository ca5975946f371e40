// Buffers: specification v0.2.1 "Buffers"; conventions of SDKs: reference/proxy-wasm.md section 7.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "contracts/pw/host_api.h"
#include "http/buffer.h"

namespace heddle::proxy_wasm {
namespace {

http::Buffer* body(Vm& vm, BufferType type) {
  HttpContext* stream = vm.effective();
  if (stream == nullptr) return nullptr;
  return type == BufferType::kHttpRequestBody ? stream->host().request_body() : stream->host().response_body();
}

// A buffer that is not a chain of slices: configurations. Nothing: not available now.
std::optional<std::string_view> flat(Vm& vm, BufferType type) {
  const extension::PluginSpec& spec = vm.code().spec;
  const bool starting = vm.running() == Callback::kConfigure || vm.running() == Callback::kVmStart ||
                        vm.running() == Callback::kContextCreate || vm.running() == Callback::kStart;
  if (type == BufferType::kVmConfiguration) return spec.vm_configuration;
  if (type == BufferType::kPluginConfiguration && starting) return spec.configuration ? std::string_view(*spec.configuration) : std::string_view{};
  return std::nullopt;
}

struct Range {
  std::size_t start = 0;
  std::size_t count = 0;
};

// Plugins ask for more than there is, up to 0xffffffff: clamped in 64 bits.
Range clamp(std::size_t size, std::uint32_t start, std::uint32_t count) {
  const std::size_t from = std::min<std::size_t>(start, size);
  return {from, std::min<std::size_t>(count, size - from)};
}

HostStatus get_bytes(Instance& instance, std::uint32_t type, std::uint32_t start, std::uint32_t max, GuestPtr data_out,
                     GuestPtr size_out) {
  Vm& vm = vm_of(instance);
  if (type >= kBufferTypes) return status(Status::kBadArgument);
  if (!writable(instance, data_out) || !writable(instance, size_out)) return status(Status::kInvalidMemoryAccess);
  const auto kind = static_cast<BufferType>(type);
  if (const auto bytes = flat(vm, kind)) {
    const Range range = clamp(bytes->size(), start, max);
    return status(vm.give(bytes->substr(range.start, range.count), data_out, size_out) ? Status::kOk
                                                                                     : Status::kInvalidMemoryAccess);
  }
  const http::Buffer* buffer = nullptr;
  if (kind == BufferType::kHttpRequestBody || kind == BufferType::kHttpResponseBody) {
    buffer = body(vm, kind);
  } else if (kind == BufferType::kHttpCallResponseBody && vm.call_response() != nullptr) {
    buffer = &vm.call_response()->body;
  }
  if (buffer == nullptr) return status(Status::kNotFound);
  const Range range = clamp(buffer->size(), start, max);
  const bool given = vm.give(range.count, data_out, size_out,
                             [&](char* out) { buffer->copy_to(range.start, range.count, out); });
  return status(given ? Status::kOk : Status::kInvalidMemoryAccess);
}

HostStatus get_status(Instance& instance, std::uint32_t type, GuestPtr length_out, GuestPtr flags_out) {
  Vm& vm = vm_of(instance);
  if (type >= kBufferTypes) return status(Status::kBadArgument);
  const auto kind = static_cast<BufferType>(type);
  std::optional<std::size_t> size;
  if (const auto bytes = flat(vm, kind)) {
    size = bytes->size();
  } else if (kind == BufferType::kHttpRequestBody || kind == BufferType::kHttpResponseBody) {
    if (const http::Buffer* buffer = body(vm, kind)) size = buffer->size();
  } else if (kind == BufferType::kHttpCallResponseBody && vm.call_response() != nullptr) {
    size = vm.call_response()->body.size();
  }
  if (!size) return status(Status::kNotFound);
  const GuestMemory memory = instance.memory();
  const bool stored = memory.store(length_out, static_cast<std::uint32_t>(*size)) && memory.store(flags_out, std::uint32_t{0});
  return status(stored ? Status::kOk : Status::kInvalidMemoryAccess);
}

// [start, start + size) is replaced by the bytes; start beyond the end appends, size 0 inserts. A replacement that starts at
// 0 may name more than there is.
HostStatus set_bytes(Instance& instance, std::uint32_t type, std::uint32_t start, std::uint32_t size, GuestPtr pointer,
                     GuestSize length) {
  Vm& vm = vm_of(instance);
  const auto bytes = text(instance, pointer, length);
  if (!bytes) return status(Status::kInvalidMemoryAccess);
  const auto kind = static_cast<BufferType>(type);
  if (kind != BufferType::kHttpRequestBody && kind != BufferType::kHttpResponseBody) return status(Status::kBadArgument);
  http::Buffer* buffer = body(vm, kind);
  if (buffer == nullptr) return status(Status::kBadArgument);
  const Range range = clamp(buffer->size(), start, size);
  // What a guest adds counts against the plugin's memory for bodies, however it is added.
  if (buffer->size() - range.count + bytes->size() > std::max(vm.code().spec.buffer_limit, buffer->size())) {
    vm.code().count_limit("buffer_limit");
    vm.log().write(LogLevel::kWarn, "a body may not grow beyond buffer_limit", vm.request_id());
    return status(Status::kBadArgument);
  }
  buffer->replace(range.start, range.count, *bytes);
  return status(Status::kOk);
}

// ABI 0.1.0: what later versions read as buffers 6 and 7.
HostStatus get_configuration(Instance& instance, GuestPtr data_out, GuestPtr size_out) {
  Vm& vm = vm_of(instance);
  if (!writable(instance, data_out) || !writable(instance, size_out)) return status(Status::kInvalidMemoryAccess);
  const BufferType type = vm.running() == Callback::kVmStart ? BufferType::kVmConfiguration : BufferType::kPluginConfiguration;
  return status(vm.give(flat(vm, type).value_or(""), data_out, size_out) ? Status::kOk : Status::kInvalidMemoryAccess);
}

constexpr std::array kTable = {
    sandbox::host_function<&get_bytes>("env", "proxy_get_buffer_bytes"),
    sandbox::host_function<&get_status>("env", "proxy_get_buffer_status"),
    sandbox::host_function<&set_bytes>("env", "proxy_set_buffer_bytes"),
    sandbox::host_function<&get_configuration>("env", "proxy_get_configuration"),
};

}  // namespace

std::span<const HostFunction> buffer_functions() { return kTable; }

}  // namespace heddle::proxy_wasm
