// Header maps: specification v0.2.1 "HTTP fields". Reads of a map that is not there are NOT_FOUND (0.1.0: an empty value),
// writes to a map that is not on its way through this filter BAD_ARGUMENT.
#include <algorithm>
#include <array>
#include <string>

#include "base/log.h"
#include "contracts/pw/host_api.h"
#include "contracts/pw/pairs.h"

namespace heddle::proxy_wasm {

http::HeaderMap* readable_map(Vm& vm, std::uint32_t type) {
  const extension::CallResponse* call = vm.call_response();
  switch (static_cast<MapType>(type)) {
    case MapType::kHttpCallResponseHeaders: return call != nullptr ? &call->head->headers : nullptr;
    case MapType::kHttpCallResponseTrailers:
      return call != nullptr && call->trailers ? &call->trailers->headers : nullptr;
    default: break;
  }
  HttpContext* stream = vm.effective();
  if (stream == nullptr) return nullptr;
  extension::FilterHost& host = stream->host();
  switch (static_cast<MapType>(type)) {
    case MapType::kRequestHeaders: return host.request_headers();
    case MapType::kRequestTrailers: return host.request_trailers();
    case MapType::kResponseHeaders: return host.response_headers();
    case MapType::kResponseTrailers: return host.response_trailers();
    default: return nullptr;
  }
}

namespace {

constexpr std::array<std::string_view, 5> kSingleValued = {":authority", ":path", ":method", ":scheme", ":status"};

http::HeaderMap* writable_map(Vm& vm, std::uint32_t type) {
  HttpContext* stream = vm.effective();
  if (stream == nullptr || stream->logging()) return nullptr;
  extension::FilterHost& host = stream->host();
  switch (static_cast<MapType>(type)) {
    case MapType::kRequestHeaders: return host.request_headers_writable() ? host.request_headers() : nullptr;
    case MapType::kRequestTrailers:
      return host.request_trailers_writable() ? host.request_trailers() : host.create_request_trailers();
    case MapType::kResponseHeaders: return host.response_headers_writable() ? host.response_headers() : nullptr;
    case MapType::kResponseTrailers:
      return host.response_trailers_writable() ? host.response_trailers() : host.create_response_trailers();
    default: return nullptr;
  }
}

// `host` and :authority are one header.
std::string_view canonical(std::string_view name, std::uint32_t type) {
  const bool host = static_cast<MapType>(type) == MapType::kRequestHeaders && http::equals_ignoring_case(name, "host");
  return host ? std::string_view(":authority") : name;
}

bool is_pseudo(std::string_view name) { return std::ranges::find(kSingleValued, name) != kSingleValued.end(); }

// What goes out must not be able to carry another header, line or message in it.
bool acceptable(Vm& vm, std::string_view name, std::string_view value) {
  if ((is_pseudo(name) || http::is_token(name)) && http::is_field_value(value)) return true;
  vm.log().write(LogLevel::kWarn, "refused a header whose name or value HTTP does not allow: " + std::string(name.substr(0, 64)),
                 vm.request_id());
  return false;
}

HostStatus get_pairs(Instance& instance, std::uint32_t type, GuestPtr data_out, GuestPtr size_out) {
  Vm& vm = vm_of(instance);
  if (type >= kMapTypes) return status(Status::kBadArgument);
  if (!writable(instance, data_out) || !writable(instance, size_out)) return status(Status::kInvalidMemoryAccess);
  const http::HeaderMap* map = readable_map(vm, type);
  static constexpr std::string_view kEmpty{"\0\0\0\0", 4};
  const bool given = map == nullptr ? vm.give(kEmpty, data_out, size_out)
                                    : vm.give(serialised_size(*map), data_out, size_out,
                                              [&](char* out) { serialise(*map, out); });
  return status(given ? Status::kOk : Status::kInvalidMemoryAccess);
}

HostStatus set_pairs(Instance& instance, std::uint32_t type, GuestPtr pointer, GuestSize size) {
  Vm& vm = vm_of(instance);
  const auto bytes = text(instance, pointer, size);
  if (!bytes) return status(Status::kInvalidMemoryAccess);
  http::HeaderMap* map = writable_map(vm, type);
  if (map == nullptr) return status(Status::kBadArgument);
  const auto pairs = parse_pairs(*bytes);
  if (!pairs) return status(Status::kBadArgument);
  for (const auto& [name, value] : *pairs) {
    if (!acceptable(vm, canonical(name, type), value)) return status(Status::kBadArgument);
  }
  map->clear();
  for (const auto& [name, value] : *pairs) map->add(canonical(name, type), value);
  return status(Status::kOk);
}

HostStatus get_value(Instance& instance, std::uint32_t type, GuestPtr name, GuestSize name_size, GuestPtr data_out,
                     GuestPtr size_out) {
  Vm& vm = vm_of(instance);
  if (type >= kMapTypes) return status(Status::kBadArgument);
  const auto key = text(instance, name, name_size);
  if (!key || !writable(instance, data_out) || !writable(instance, size_out)) {
    return status(Status::kInvalidMemoryAccess);
  }
  const http::HeaderMap* map = readable_map(vm, type);
  const auto value = map != nullptr ? map->get(canonical(*key, type)) : std::nullopt;
  if (!value && vm.code().facts.version != AbiVersion::k0_1_0) return status(Status::kNotFound);
  return status(vm.give(value.value_or(""), data_out, size_out) ? Status::kOk : Status::kInvalidMemoryAccess);
}

struct Write {
  http::HeaderMap* map = nullptr;
  std::string_view name;
  std::string_view value;
  Status refused = Status::kOk;
};

Write prepare_write(Instance& instance, std::uint32_t type, GuestPtr name, GuestSize name_size, GuestPtr value,
                    GuestSize value_size) {
  Vm& vm = vm_of(instance);
  const auto key = text(instance, name, name_size);
  const auto bytes = text(instance, value, value_size);
  if (!key || !bytes) return {nullptr, {}, {}, Status::kInvalidMemoryAccess};
  Write out{writable_map(vm, type), canonical(*key, type), *bytes, Status::kOk};
  if (out.map == nullptr || !acceptable(vm, out.name, out.value)) out.refused = Status::kBadArgument;
  return out;
}

HostStatus add_value(Instance& instance, std::uint32_t type, GuestPtr name, GuestSize name_size, GuestPtr value,
                     GuestSize value_size) {
  const Write write = prepare_write(instance, type, name, name_size, value, value_size);
  if (write.refused != Status::kOk) return status(write.refused);
  const auto present = is_pseudo(write.name) ? write.map->get(write.name) : std::nullopt;
  if (present) {
    write.map->set(write.name, std::string(*present) + "," + std::string(write.value));
  } else {
    write.map->add(write.name, write.value);
  }
  return status(Status::kOk);
}

HostStatus replace_value(Instance& instance, std::uint32_t type, GuestPtr name, GuestSize name_size, GuestPtr value,
                         GuestSize value_size) {
  const Write write = prepare_write(instance, type, name, name_size, value, value_size);
  if (write.refused != Status::kOk) return status(write.refused);
  write.map->set(write.name, write.value);
  return status(Status::kOk);
}

HostStatus remove_value(Instance& instance, std::uint32_t type, GuestPtr name, GuestSize name_size) {
  Vm& vm = vm_of(instance);
  const auto key = text(instance, name, name_size);
  if (!key) return status(Status::kInvalidMemoryAccess);
  http::HeaderMap* map = writable_map(vm, type);
  if (map == nullptr) return status(Status::kBadArgument);
  map->remove(canonical(*key, type));
  return status(Status::kOk);
}

// In bytes of names and values, as Envoy counts.
HostStatus get_size(Instance& instance, std::uint32_t type, GuestPtr size_out) {
  Vm& vm = vm_of(instance);
  if (type >= kMapTypes) return status(Status::kBadArgument);
  const http::HeaderMap* map = readable_map(vm, type);
  const auto size = static_cast<std::uint32_t>(map != nullptr ? map->byte_size() : 0);
  return status(instance.memory().store(size_out, size) ? Status::kOk : Status::kInvalidMemoryAccess);
}

constexpr std::array kTable = {
    sandbox::host_function<&get_pairs>("env", "proxy_get_header_map_pairs"),
    sandbox::host_function<&set_pairs>("env", "proxy_set_header_map_pairs"),
    sandbox::host_function<&get_value>("env", "proxy_get_header_map_value"),
    sandbox::host_function<&add_value>("env", "proxy_add_header_map_value"),
    sandbox::host_function<&replace_value>("env", "proxy_replace_header_map_value"),
    sandbox::host_function<&remove_value>("env", "proxy_remove_header_map_value"),
    sandbox::host_function<&get_size>("env", "proxy_get_header_map_size"),
};

}  // namespace

std::span<const HostFunction> header_functions() { return kTable; }

}  // namespace heddle::proxy_wasm
