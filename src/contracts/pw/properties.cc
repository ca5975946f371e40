// Properties: specification v0.2.1 "Properties" and Envoy's attributes (reference/proxy-wasm.md section 9), typed as Envoy
// types them: integers, times and durations 8 bytes little-endian, booleans one byte, maps in the pairs format. With
// property_encoding: strings numbers and booleans are text, as nginx-family plugins expect.
#include <array>
#include <charconv>
#include <cstring>

#include "base/clock.h"
#include "contracts/pw/host_api.h"
#include "contracts/pw/pairs.h"
#include "http/message.h"

namespace heddle::proxy_wasm {
namespace {

using Value = std::optional<std::string>;
using extension::ExchangeInfo;

// One look at a property: the VM, the stream it is asked on, and what is left of the path.
struct Query {
  Vm& vm;
  extension::FilterHost* host = nullptr;  // null on the root context
  std::string_view rest;                  // behind the first two segments; empty: nothing more

  const ExchangeInfo& info() const { return host->info(); }
};

Value text_value(std::string_view text) { return text.empty() ? Value{} : Value(std::string(text)); }

Value number(const Query& query, std::int64_t value) {
  if (query.vm.code().spec.string_properties) return std::to_string(value);
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

Value count(const Query& query, std::uint64_t value) { return number(query, static_cast<std::int64_t>(value)); }

Value boolean(const Query& query, bool value) {
  if (query.vm.code().spec.string_properties) return std::string(value ? "true" : "false");
  return std::string(1, value ? '\1' : '\0');
}

Value header(const http::HeaderMap* map, std::string_view name) {
  if (map == nullptr) return {};
  const auto value = map->get_joined(name);
  return value ? Value(std::string(*value)) : Value{};
}

// The whole map, or one header of it.
Value headers(const Query& query, const http::HeaderMap* map) {
  if (!query.rest.empty()) return header(map, query.rest);
  if (map == nullptr) return std::string(4, '\0');
  std::string out(serialised_size(*map), '\0');
  serialise(*map, out.data());
  return out;
}

std::string_view before_query(std::string_view target) { return target.substr(0, target.find('?')); }

std::uint64_t head_bytes(const http::HeaderMap* map) { return map != nullptr ? map->byte_size() : 0; }

Value request(const Query& query, std::string_view name) {
  const http::HeaderMap* map = query.host->request_headers();
  const ExchangeInfo& info = query.info();
  const std::string_view target = map != nullptr ? map->get(":path").value_or("") : "";
  if (name == "path") return header(map, ":path");
  if (name == "url_path") return text_value(before_query(target));
  if (name == "query") {
    const std::size_t at = target.find('?');
    return std::string(at == std::string_view::npos ? std::string_view{} : target.substr(at + 1));
  }
  if (name == "host") return header(map, ":authority");
  if (name == "scheme") return header(map, ":scheme");
  if (name == "method") return header(map, ":method");
  if (name == "referer") return header(map, "referer");
  if (name == "useragent") return header(map, "user-agent");
  if (name == "headers") return headers(query, map);
  if (name == "id") return text_value(info.request_id);
  if (name == "protocol") return std::string(to_string(info.protocol));
  if (name == "time") return number(query, info.start_wall);
  if (name == "duration") return info.end != 0 ? number(query, info.end - info.start) : Value{};
  if (name == "size") return count(query, info.request_body_bytes);
  if (name == "total_size") return count(query, info.request_body_bytes + head_bytes(map));
  return {};
}

Value response(const Query& query, std::string_view name) {
  const http::HeaderMap* map = query.host->response_headers();
  const ExchangeInfo& info = query.info();
  if (name == "code") return info.response_code != 0 ? number(query, info.response_code) : Value{};
  if (name == "code_details") return text_value(info.response_code_details);
  if (name == "flags") return number(query, 0);
  if (name == "headers") return headers(query, map);
  if (name == "trailers") return headers(query, query.host->response_trailers());
  if (name == "size") return count(query, info.response_body_bytes);
  if (name == "total_size") return count(query, info.response_body_bytes + head_bytes(map));
  if (name == "grpc_status") {
    const auto given = header(map, "grpc-status");
    std::int64_t code = 2;  // UNKNOWN: what Envoy says of a plain 200
    if (given) std::from_chars(given->data(), given->data() + given->size(), code);
    return info.response_code != 0 ? number(query, code) : Value{};
  }
  return {};
}

Value connection(const Query& query, std::string_view name) {
  const http::ConnectionInfo& info = *query.info().connection;
  if (name == "id") return count(query, info.id);
  if (name == "mtls") return boolean(query, false);
  if (name == "requested_server_name") return info.tls ? std::string() : Value{};
  return {};
}

Value source(const Query& query, std::string_view name) {
  const http::ConnectionInfo& info = *query.info().connection;
  if (name == "address") return text_value(info.remote_address);
  if (name == "port") return number(query, info.remote_port);
  return {};
}

Value destination(const Query& query, std::string_view name) {
  const http::ConnectionInfo& info = *query.info().connection;
  if (name == "address") return text_value(info.local_address);
  if (name == "port") return number(query, info.local_port);
  return {};
}

Value port_of(const Query& query, std::string_view address) {
  std::int64_t port = 0;
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return {};
  const char* end = address.data() + address.size();
  if (std::from_chars(address.data() + colon + 1, end, port).ptr != end) return {};
  return number(query, port);
}

Value upstream(const Query& query, std::string_view name) {
  const ExchangeInfo& info = query.info();
  if (name == "address") return text_value(info.upstream_address);
  if (name == "port") return port_of(query, info.upstream_address);
  if (name == "local_address") return text_value(info.upstream_local_address);
  if (name == "transport_failure_reason") return text_value(info.upstream_failure);
  return {};
}

Value xds(const Query& query, std::string_view name) {
  const ExchangeInfo& info = query.info();
  if (name == "cluster_name") return text_value(info.upstream);
  if (name == "route_name") return text_value(info.route);
  if (name == "listener_direction") return number(query, 1);  // inbound
  return {};
}

struct Group {
  std::string_view name;
  Value (*find)(const Query& query, std::string_view attribute);
};

constexpr std::array<Group, 7> kGroups = {{{"request", request},
                                           {"response", response},
                                           {"connection", connection},
                                           {"source", source},
                                           {"destination", destination},
                                           {"upstream", upstream},
                                           {"xds", xds}}};

// Names of one segment, on any context.
Value plain(Vm& vm, std::string_view name) {
  const extension::PluginSpec& spec = vm.code().spec;
  if (name == "plugin_name") return spec.name;
  if (name == "plugin_root_id") return spec.root_id;
  if (name == "plugin_vm_id") return spec.vm_id;
  return {};
}

// Short names of Envoy's Wasm extension, on a stream.
Value short_name(const Query& query, std::string_view name) {
  if (name == "cluster_name") return xds(query, "cluster_name");
  if (name == "route_name") return xds(query, "route_name");
  if (name == "listener_direction") return xds(query, "listener_direction");
  if (name == "connection_id") return connection(query, "id");
  return {};
}

}  // namespace

std::optional<std::string> property(Vm& vm, std::string_view path) {
  if (path.ends_with('\0')) path.remove_suffix(1);  // the C++ SDK ends paths with one
  const std::size_t nul = path.find('\0');
  const std::string_view first = path.substr(0, nul);
  HttpContext* stream = vm.effective();
  Query query{vm, stream != nullptr ? &stream->host() : nullptr, {}};
  if (nul == std::string_view::npos) {
    if (auto value = plain(vm, first)) return value;
    if (stream != nullptr) {
      if (auto value = short_name(query, first)) return value;
    }
  } else if (stream != nullptr) {
    std::string_view second = path.substr(nul + 1);
    if (const std::size_t next = second.find('\0'); next != std::string_view::npos) {
      query.rest = second.substr(next + 1);
      second = second.substr(0, next);
    }
    for (const Group& group : kGroups) {
      if (group.name != first) continue;
      if (auto value = group.find(query, second)) return value;
    }
  }
  const auto& set = stream != nullptr ? stream->host().properties() : vm.root_properties();
  if (const auto it = set.find(path); it != set.end()) return it->second;
  return std::nullopt;
}

}  // namespace heddle::proxy_wasm
