// The exchange itself: continue, close, local responses, route cache, properties, effective context, done. Specification
// v0.2.1 "Stream" and "Context lifecycle". What they set in motion happens after the guest has returned.
#include <array>
#include <string>

#include "contracts/pw/host_api.h"
#include "contracts/pw/pairs.h"

namespace heddle::proxy_wasm {
namespace {

HostStatus continue_stream(Instance& instance, std::uint32_t type) {
  Vm& vm = vm_of(instance);
  if (type > static_cast<std::uint32_t>(StreamType::kUpstream)) return status(Status::kBadArgument);
  if (HttpContext* stream = vm.effective()) {
    if (static_cast<StreamType>(type) == StreamType::kRequest) stream->host().continue_request();
    if (static_cast<StreamType>(type) == StreamType::kResponse) stream->host().continue_response();
  }
  return status(Status::kOk);
}

HostStatus close_stream(Instance& instance, std::uint32_t type) {
  Vm& vm = vm_of(instance);
  if (type > static_cast<std::uint32_t>(StreamType::kUpstream)) return status(Status::kBadArgument);
  if (HttpContext* stream = vm.effective()) stream->host().reset_stream();
  return status(Status::kOk);
}

// ABI 0.1.0.
HostStatus continue_request(Instance& instance) { return continue_stream(instance, 0); }
HostStatus continue_response(Instance& instance) { return continue_stream(instance, 1); }

HostStatus clear_route_cache(Instance& instance) {
  Vm& vm = vm_of(instance);
  if (HttpContext* stream = vm.effective()) stream->host().clear_route();
  return status(Status::kOk);
}

HostStatus send_local_response(Instance& instance, std::uint32_t code, GuestPtr details, GuestSize details_size,
                               GuestPtr body, GuestSize body_size, GuestPtr headers, GuestSize headers_size,
                               std::int32_t grpc_status) {
  Vm& vm = vm_of(instance);
  const auto detail_text = text(instance, details, details_size);
  const auto body_text = text(instance, body, body_size);
  const auto header_bytes = text(instance, headers, headers_size);
  if (!detail_text || !body_text || !header_bytes) return status(Status::kInvalidMemoryAccess);
  HttpContext* stream = vm.effective();
  if (stream == nullptr || stream->logging()) return status(Status::kOk);  // nobody to answer: as Envoy, no error
  const auto pairs = parse_pairs(*header_bytes);
  if (!pairs) return status(Status::kBadArgument);
  extension::LocalReply reply;
  reply.status = static_cast<int>(code);
  reply.details = *detail_text;
  reply.body = *body_text;
  reply.grpc_status = grpc_status >= 0 && grpc_status <= 16 ? grpc_status : -1;
  for (const auto& [name, value] : *pairs) {
    if (!http::is_token(name) || !http::is_field_value(value)) {
      vm.log().write(LogLevel::kWarn, "left a header out of a local response: HTTP does not allow its name or value",
                     vm.request_id());
      continue;
    }
    reply.headers.emplace_back(name, value);
  }
  stream->send_local_reply(std::move(reply));
  return status(Status::kOk);
}

HostStatus set_effective_context(Instance& instance, std::uint32_t context) {
  return status(vm_of(instance).set_effective(context));
}

HostStatus done(Instance& instance) { return status(vm_of(instance).done()); }

HostStatus get_property(Instance& instance, GuestPtr path, GuestSize path_size, GuestPtr data_out, GuestPtr size_out) {
  Vm& vm = vm_of(instance);
  const auto wanted = text(instance, path, path_size);
  if (!wanted || !writable(instance, data_out) || !writable(instance, size_out)) {
    return status(Status::kInvalidMemoryAccess);
  }
  const auto value = property(vm, *wanted);
  if (!value) return status(Status::kNotFound);
  return status(vm.give(*value, data_out, size_out) ? Status::kOk : Status::kInvalidMemoryAccess);
}

HostStatus set_property(Instance& instance, GuestPtr path, GuestSize path_size, GuestPtr value, GuestSize value_size) {
  Vm& vm = vm_of(instance);
  const auto name = text(instance, path, path_size);
  const auto bytes = text(instance, value, value_size);
  if (!name || !bytes) return status(Status::kInvalidMemoryAccess);
  auto& properties = vm.effective() != nullptr ? vm.effective()->host().properties() : vm.root_properties();
  constexpr std::size_t kMaxProperties = 1024;
  constexpr std::size_t kMaxBytes = std::size_t{1} << 20U;
  if (properties.size() >= kMaxProperties || name->size() + bytes->size() > kMaxBytes) {
    vm.code().count_limit("properties");
    return status(Status::kOk);  // SDKs take any other status for a reason to panic; the limit is counted
  }
  std::string_view key = *name;
  if (key.ends_with('\0')) key.remove_suffix(1);  // the C++ SDK ends paths with one
  properties[std::string(key)] = *bytes;
  return status(Status::kOk);
}

constexpr std::array kTable = {
    sandbox::host_function<&continue_stream>("env", "proxy_continue_stream"),
    sandbox::host_function<&close_stream>("env", "proxy_close_stream"),
    sandbox::host_function<&continue_request>("env", "proxy_continue_request"),
    sandbox::host_function<&continue_response>("env", "proxy_continue_response"),
    sandbox::host_function<&clear_route_cache>("env", "proxy_clear_route_cache"),
    sandbox::host_function<&send_local_response>("env", "proxy_send_local_response"),
    sandbox::host_function<&send_local_response>("env", "proxy_send_http_response"),
    sandbox::host_function<&set_effective_context>("env", "proxy_set_effective_context"),
    sandbox::host_function<&done>("env", "proxy_done"),
    sandbox::host_function<&get_property>("env", "proxy_get_property"),
    sandbox::host_function<&set_property>("env", "proxy_set_property"),
};

}  // namespace

std::span<const HostFunction> stream_functions() { return kTable; }

}  // namespace heddle::proxy_wasm
