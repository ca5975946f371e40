// Header maps (Proxy-Wasm specification 0.2.1, "HTTP headers/trailers"). Reads of a map that is not
// there find nothing; writes to a map that is not on its way through this plugin are bad arguments,
// as in Envoy.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "contracts/proxy_wasm/header_rules.h"
#include "contracts/proxy_wasm/host_call.h"
#include "contracts/proxy_wasm/pairs.h"

namespace heddle::proxy_wasm {
namespace {

// Bytes that one plugin may write into the headers of one exchange: what a map replaces is only
// freed with the exchange.
constexpr std::size_t kMaxHeaderBytes = std::size_t{4} << 20U;

const http::HeaderMap* of(const http::HeadPtr& head) {
  return head != nullptr ? &head->headers : nullptr;
}

const http::HeaderMap* readable(Vm& vm, MapType type) {
  extension::FilterHost* http = vm.http();
  const extension::CallResponse* call = vm.call_response();
  switch (type) {
    case MapType::kRequestHeaders:
      return http != nullptr ? http->request_headers() : nullptr;
    case MapType::kRequestTrailers:
      return http != nullptr ? http->request_trailers() : nullptr;
    case MapType::kResponseHeaders:
      return http != nullptr ? http->response_headers() : nullptr;
    case MapType::kResponseTrailers:
      return http != nullptr ? http->response_trailers() : nullptr;
    case MapType::kHttpCallResponseHeaders:
      return call != nullptr ? of(call->head) : nullptr;
    case MapType::kHttpCallResponseTrailers:
      return call != nullptr ? of(call->trailers) : nullptr;
    case MapType::kGrpcInitialMetadata:
      return vm.root().grpc().initial_metadata();
    case MapType::kGrpcTrailingMetadata:
      return vm.root().grpc().trailing_metadata();
  }
  return nullptr;
}

http::HeaderMap* writable(Vm& vm, MapType type) {
  extension::FilterHost* http = vm.http();
  if (http == nullptr) return nullptr;
  switch (type) {
    case MapType::kRequestHeaders:
      return http->request_headers_writable() ? http->request_headers() : nullptr;
    case MapType::kRequestTrailers:
      return http->request_trailers_writable() ? http->request_trailers()
                                               : http->create_request_trailers();
    case MapType::kResponseHeaders:
      return http->response_headers_writable() ? http->response_headers() : nullptr;
    case MapType::kResponseTrailers:
      return http->response_trailers_writable() ? http->response_trailers()
                                                : http->create_response_trailers();
    default:
      return nullptr;
  }
}

bool charge(Vm& vm, std::size_t bytes) {
  Context& context = vm.context();
  if (context.header_bytes + bytes > kMaxHeaderBytes) {
    vm.stats().limit_hit(Limit::kHeaderBytes);
    vm.log().write(LogLevel::kWarn,
                   fmt::format("the plugin wrote more than {} bytes of headers", kMaxHeaderBytes),
                   vm.request_id());
    return false;
  }
  context.header_bytes += bytes;
  return true;
}

bool check(Vm& vm, MapType type, std::string_view name, std::string_view value) {
  if (is_allowed(type, name, value)) return true;
  vm.log().write(LogLevel::kWarn,
                 "the plugin wrote a header that HTTP does not allow (bad name, or CR, LF or "
                 "control characters in the value)",
                 vm.request_id(), "header", name.substr(0, 100));
  return false;
}

Status get_pairs(Vm& vm, std::uint32_t type, GuestPtr data_out, GuestPtr size_out) {
  if (type > kMaxMapType) return Status::kBadArgument;
  const http::HeaderMap* map = readable(vm, static_cast<MapType>(type));
  if (map == nullptr) {
    // The Rust SDK accepts nothing but OK here, and the Go SDK reads the count without asking.
    return vm.give(sizeof(std::uint32_t), data_out, size_out,
                   [](char* out) { std::memset(out, 0, sizeof(std::uint32_t)); });
  }
  return vm.give(pairs_size(*map), data_out, size_out,
                 [map](char* out) { write_pairs(*map, out); });
}

Status get_size(Vm& vm, std::uint32_t type, GuestPtr size_out) {
  if (type > kMaxMapType) return Status::kBadArgument;
  const http::HeaderMap* map = readable(vm, static_cast<MapType>(type));
  const auto bytes = static_cast<std::uint32_t>(map != nullptr ? map->byte_size() : 0);
  return vm.instance().memory().store(size_out, bytes) ? Status::kOk : Status::kInvalidMemoryAccess;
}

Status get_value(Vm& vm, std::uint32_t type, GuestPtr name, GuestSize name_size, GuestPtr data_out,
                 GuestPtr size_out) {
  if (type > kMaxMapType) return Status::kBadArgument;
  const auto key = vm.instance().memory().view(name, name_size);
  if (!key) return Status::kInvalidMemoryAccess;
  const auto map_type = static_cast<MapType>(type);
  const http::HeaderMap* map = readable(vm, map_type);
  std::optional<std::string_view> value;
  if (map != nullptr) value = map->get(canonical_name(map_type, *key));
  if (!value) {
    // ABI 0.1.0 did not tell an absent header from an empty one.
    if (vm.version().traits.abi != AbiVersion::k0_1_0) return Status::kNotFound;
    value = std::string_view();
  }
  return vm.give(*value, data_out, size_out);
}

// The name and value that a guest passed, checked for `map`.
struct Written {
  http::HeaderMap* map = nullptr;
  std::string_view name;
  std::string_view value;
};
std::expected<Written, Status> read_header(Vm& vm, std::uint32_t type, GuestPtr name,
                                           GuestSize name_size, GuestPtr value,
                                           GuestSize value_size) {
  if (type > kMaxMapType) return std::unexpected(Status::kBadArgument);
  const GuestMemory memory = vm.instance().memory();
  const auto key = memory.view(name, name_size);
  const auto text = memory.view(value, value_size);
  if (!key || !text) return std::unexpected(Status::kInvalidMemoryAccess);
  const auto map_type = static_cast<MapType>(type);
  Written out{
      .map = writable(vm, map_type), .name = canonical_name(map_type, *key), .value = *text};
  if (out.map == nullptr || !check(vm, map_type, out.name, out.value) ||
      !charge(vm, key->size() + text->size())) {
    return std::unexpected(Status::kBadArgument);
  }
  return out;
}

Status add_value(Vm& vm, std::uint32_t type, GuestPtr name, GuestSize name_size, GuestPtr value,
                 GuestSize value_size) {
  const auto header = read_header(vm, type, name, name_size, value, value_size);
  if (!header) return header.error();
  // A joined value copies what was there before.
  if (header->name.starts_with(':') &&
      !charge(vm, header->map->get(header->name).value_or("").size())) {
    return Status::kBadArgument;
  }
  add_header(*header->map, header->name, header->value);
  return Status::kOk;
}

Status replace_value(Vm& vm, std::uint32_t type, GuestPtr name, GuestSize name_size, GuestPtr value,
                     GuestSize value_size) {
  const auto header = read_header(vm, type, name, name_size, value, value_size);
  if (!header) return header.error();
  header->map->set(header->name, header->value);
  return Status::kOk;
}

Status remove_value(Vm& vm, std::uint32_t type, GuestPtr name, GuestSize name_size) {
  if (type > kMaxMapType) return Status::kBadArgument;
  const auto key = vm.instance().memory().view(name, name_size);
  if (!key) return Status::kInvalidMemoryAccess;
  const auto map_type = static_cast<MapType>(type);
  http::HeaderMap* map = writable(vm, map_type);
  if (map == nullptr) return Status::kBadArgument;
  const std::string_view canonical = canonical_name(map_type, *key);
  if (is_required(map_type, canonical)) {
    vm.log().write(LogLevel::kWarn,
                   "the plugin removed a header that the message cannot be without; it stays",
                   vm.request_id(), "header", canonical);
    return Status::kOk;
  }
  map->remove(canonical);
  return Status::kOk;
}

// A map that lacks what the message cannot be without keeps it: Envoy would break the stream.
void replace_all(http::HeaderMap& map, MapType type, std::span<const Pair> pairs) {
  constexpr std::array<std::string_view, 5> kPseudo = {":authority", ":path", ":method", ":scheme",
                                                       ":status"};
  std::array<std::optional<std::string_view>, kPseudo.size()> kept;
  for (std::size_t i = 0; i < kPseudo.size(); ++i) {
    if (is_required(type, kPseudo.at(i)) || kPseudo.at(i) == ":authority")
      kept.at(i) = map.get(kPseudo.at(i));
  }
  map.clear();
  const auto given = [&](std::string_view name) {
    return std::ranges::any_of(pairs, [&](const Pair& pair) {
      return http::equals_ignoring_case(canonical_name(type, pair.first), name);
    });
  };
  for (std::size_t i = 0; i < kPseudo.size(); ++i) {
    if (kept.at(i) && !given(kPseudo.at(i))) map.add_view(kPseudo.at(i), *kept.at(i));
  }
  for (const bool pseudo : {true, false}) {  // pseudo-headers stand first
    for (const auto& [name, value] : pairs) {
      const std::string_view canonical = canonical_name(type, name);
      if (canonical.starts_with(':') == pseudo) add_header(map, canonical, value);
    }
  }
}

Status set_pairs(Vm& vm, std::uint32_t type, GuestPtr data, GuestSize size) {
  if (type > kMaxMapType) return Status::kBadArgument;
  const auto bytes = vm.instance().memory().view(data, size);
  if (!bytes) return Status::kInvalidMemoryAccess;
  const auto map_type = static_cast<MapType>(type);
  http::HeaderMap* map = writable(vm, map_type);
  if (map == nullptr) return Status::kBadArgument;
  const auto pairs = parse_pairs(*bytes);
  if (!pairs) {
    vm.log().write(LogLevel::kWarn,
                   "the plugin set headers that are no map, or more than 1024 or 1 MiB",
                   vm.request_id());
    return Status::kBadArgument;
  }
  for (const auto& [name, value] : *pairs) {
    if (!check(vm, map_type, canonical_name(map_type, name), value)) return Status::kBadArgument;
  }
  if (!charge(vm, bytes->size())) return Status::kBadArgument;
  replace_all(*map, map_type, *pairs);
  return Status::kOk;
}

constexpr std::array kTable = {
    host_call<&get_pairs>("proxy_get_header_map_pairs"),
    host_call<&set_pairs>("proxy_set_header_map_pairs"),
    host_call<&get_size>("proxy_get_header_map_size"),
    host_call<&get_value>("proxy_get_header_map_value"),
    host_call<&add_value>("proxy_add_header_map_value"),
    host_call<&replace_value>("proxy_replace_header_map_value"),
    host_call<&remove_value>("proxy_remove_header_map_value"),
};

}  // namespace

std::span<const HostFunction> header_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
