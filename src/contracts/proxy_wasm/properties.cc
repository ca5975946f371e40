#include "contracts/proxy_wasm/properties.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "contracts/proxy_wasm/pairs.h"
#include "http/grpc.h"
#include "net/tls.h"

namespace heddle::proxy_wasm {
namespace {

using extension::ExchangeInfo;
using extension::FilterHost;
using http::HeaderMap;

// A value on its way out, in one of the types that attributes have.
class Value {
 public:
  Value(const PropertySource& source, const PropertyPath& path, std::string& scratch)
      : source_(source), path_(path), scratch_(scratch), strings_(source.spec.string_properties) {}

  FilterHost& http() const { return *source_.http; }
  const ExchangeInfo& info() const { return *source_.info; }
  const extension::PluginSpec& spec() const { return source_.spec; }

  void text(std::string_view text) {
    out_ = text;
    status_ = Status::kOk;
  }
  void text_if_any(std::string_view value) {
    if (!value.empty()) text(value);
  }

  // int, uint, timestamp and duration alike: 8 bytes, little-endian.
  void number(std::int64_t number) {
    if (strings_) {
      scratch_ = std::to_string(number);
    } else {
      scratch_.resize(sizeof number);
      std::memcpy(scratch_.data(), &number, sizeof number);
    }
    text(std::string_view(scratch_));
  }
  void unsigned_number(std::uint64_t value) { number(static_cast<std::int64_t>(value)); }

  void boolean(bool value) {
    scratch_ = strings_ ? (value ? "true" : "false") : std::string(1, value ? '\1' : '\0');
    text(std::string_view(scratch_));
  }

  // The whole map, or the joined values of the header that the path names.
  void map(const HeaderMap* map) {
    if (path_.count > 2) {
      if (map != nullptr) found(map->get_joined(path_.segment(2)));
      return;
    }
    scratch_.resize(map != nullptr ? pairs_size(*map) : sizeof(std::uint32_t));
    if (map != nullptr) {
      write_pairs(*map, scratch_.data());
    } else {
      std::memset(scratch_.data(), 0, scratch_.size());
    }
    text(std::string_view(scratch_));
  }

  void header(const HeaderMap* map, std::string_view name) {
    if (map != nullptr) found(map->get(name));
  }

  void message() { status_ = Status::kSerializationFailure; }

  void found(std::optional<std::string_view> value) {
    if (value) text(*value);
  }

  Status status() const { return status_; }
  std::string_view out() const { return out_; }

 private:
  const PropertySource& source_;
  const PropertyPath& path_;
  std::string& scratch_;
  bool strings_;
  std::string_view out_;
  Status status_ = Status::kNotFound;
};

struct Attribute {
  std::string_view name;
  void (*read)(Value& out);
};

std::string_view request_path(const Value& out) {
  const HeaderMap* headers = out.http().request_headers();
  return headers != nullptr ? headers->get(":path").value_or("") : std::string_view();
}

void read_url_path(Value& out) {
  const std::string_view path = request_path(out);
  if (!path.empty()) out.text(path.substr(0, path.find('?')));
}

void read_query(Value& out) {
  const std::string_view path = request_path(out);
  const std::size_t mark = path.find('?');
  if (!path.empty())
    out.text(mark == std::string_view::npos ? std::string_view() : path.substr(mark + 1));
}

void read_duration(Value& out) {
  if (out.info().end != 0) out.number(out.info().end - out.info().start);
}

// What is announced, because nothing may have arrived yet; else what has arrived.
void read_request_size(Value& out) {
  std::uint64_t size = out.info().request_body_bytes;
  const HeaderMap* headers = out.http().request_headers();
  if (const auto length = headers != nullptr ? headers->get("content-length") : std::nullopt)
    std::from_chars(length->data(), length->data() + length->size(), size);
  out.unsigned_number(size);
}

constexpr std::array kRequest = {
    Attribute{"path", [](Value& out) { out.header(out.http().request_headers(), ":path"); }},
    Attribute{"url_path", &read_url_path},
    Attribute{"host", [](Value& out) { out.header(out.http().request_headers(), ":authority"); }},
    Attribute{"scheme", [](Value& out) { out.header(out.http().request_headers(), ":scheme"); }},
    Attribute{"method", [](Value& out) { out.header(out.http().request_headers(), ":method"); }},
    Attribute{"headers", [](Value& out) { out.map(out.http().request_headers()); }},
    Attribute{"referer", [](Value& out) { out.header(out.http().request_headers(), "referer"); }},
    Attribute{"useragent",
              [](Value& out) { out.header(out.http().request_headers(), "user-agent"); }},
    Attribute{"time", [](Value& out) { out.number(out.info().start_wall); }},
    Attribute{"id", [](Value& out) { out.text_if_any(out.info().request_id); }},
    Attribute{"protocol", [](Value& out) { out.text(http::to_string(out.info().protocol)); }},
    Attribute{"query", &read_query},
    Attribute{"duration", &read_duration},
    Attribute{"size", &read_request_size},
    Attribute{"total_size",
              [](Value& out) { out.unsigned_number(out.info().request_total_bytes); }},
};

// Envoy's CoreResponseFlag in order: `response.flags` is a bit of each.
constexpr std::array<std::string_view, 23> kFlags = {
    "LH",   "UH",   "UT", "LR",  "UR", "UF", "UC",  "UO",    "NR",   "DI",   "FI", "RL",
    "UAEX", "RLSE", "DC", "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT"};

void read_flags(Value& out) {
  if (out.spec().string_properties) {
    out.text(out.info().response_flags);
    return;
  }
  std::uint64_t bits = 0;
  std::string_view rest = out.info().response_flags;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const auto* found = std::ranges::find(kFlags, rest.substr(0, end));
    if (found != kFlags.end())
      bits |= std::uint64_t{1} << static_cast<unsigned>(found - kFlags.begin());
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  out.unsigned_number(bits);
}

void read_grpc_status(Value& out) {
  if (out.info().response_code == 0) return;
  for (const HeaderMap* map : {out.http().response_trailers(), out.http().response_headers()}) {
    const auto status = map != nullptr ? map->get("grpc-status") : std::nullopt;
    std::int64_t number = 0;
    if (status && std::from_chars(status->data(), status->data() + status->size(), number).ec ==
                      std::errc()) {
      out.number(number);
      return;
    }
  }
  out.number(http::grpc_status_of_http(out.info().response_code));
}

constexpr std::array kResponse = {
    Attribute{"code",
              [](Value& out) {
                if (out.info().response_code != 0) out.number(out.info().response_code);
              }},
    Attribute{"code_details",
              [](Value& out) { out.text_if_any(out.info().response_code_details); }},
    Attribute{"flags", &read_flags},
    Attribute{"grpc_status", &read_grpc_status},
    Attribute{"headers", [](Value& out) { out.map(out.http().response_headers()); }},
    Attribute{"trailers", [](Value& out) { out.map(out.http().response_trailers()); }},
    Attribute{"size", [](Value& out) { out.unsigned_number(out.info().response_body_bytes); }},
    Attribute{"total_size",
              [](Value& out) { out.unsigned_number(out.info().response_total_bytes); }},
};

const net::TlsInfo* client_tls(const Value& out) {
  return out.info().connection->tls_info.get();
}
const net::TlsInfo* upstream_tls(const Value& out) {
  return out.info().upstream_tls.get();
}

// What Envoy tells of one side of the connection that `Tls` finds; without TLS there is nothing.
template <auto Tls, auto Read>
void read_tls(Value& out) {
  if (const net::TlsInfo* const tls = Tls(out)) Read(out, *tls);
}

using Certificate = std::shared_ptr<const net::TlsCertificate>;

template <Certificate net::TlsInfo::* Whose>
void read_subject(Value& out, const net::TlsInfo& tls) {
  const Certificate& certificate = tls.*Whose;
  out.text(certificate ? std::string_view(certificate->subject) : std::string_view());
}

// The first of the alternative names.
template <Certificate net::TlsInfo::* Whose, std::vector<std::string> net::TlsCertificate::* Names>
void read_name(Value& out, const net::TlsInfo& tls) {
  const Certificate& certificate = tls.*Whose;
  if (certificate && !((*certificate).*Names).empty()) out.text(((*certificate).*Names).front());
}

void read_version(Value& out, const net::TlsInfo& tls) {
  out.text(tls.version);
}
void read_digest(Value& out, const net::TlsInfo& tls) {
  if (tls.peer) out.text(tls.peer->sha256);
}

template <auto Tls>
constexpr std::array kTls = {
    Attribute{"tls_version", read_tls<Tls, &read_version>},
    Attribute{"subject_local_certificate", read_tls<Tls, &read_subject<&net::TlsInfo::local>>},
    Attribute{"subject_peer_certificate", read_tls<Tls, &read_subject<&net::TlsInfo::peer>>},
    Attribute{"dns_san_local_certificate",
              read_tls<Tls, &read_name<&net::TlsInfo::local, &net::TlsCertificate::dns_names>>},
    Attribute{"dns_san_peer_certificate",
              read_tls<Tls, &read_name<&net::TlsInfo::peer, &net::TlsCertificate::dns_names>>},
    Attribute{"uri_san_local_certificate",
              read_tls<Tls, &read_name<&net::TlsInfo::local, &net::TlsCertificate::uri_names>>},
    Attribute{"uri_san_peer_certificate",
              read_tls<Tls, &read_name<&net::TlsInfo::peer, &net::TlsCertificate::uri_names>>},
    Attribute{"sha256_peer_certificate_digest", read_tls<Tls, &read_digest>},
};

constexpr std::array kConnection = {
    Attribute{"id", [](Value& out) { out.unsigned_number(out.info().connection->id); }},
    Attribute{"mtls",
              [](Value& out) {
                const net::TlsInfo* const tls = client_tls(out);
                out.boolean(tls != nullptr && tls->mutual);
              }},
    Attribute{"requested_server_name",
              [](Value& out) {
                const net::TlsInfo* const tls = client_tls(out);
                out.text(tls != nullptr ? std::string_view(tls->server_name) : "");
              }},
};
constexpr std::array kSource = {
    Attribute{"address", [](Value& out) { out.text(out.info().connection->remote_address); }},
    Attribute{"port", [](Value& out) { out.number(out.info().connection->remote_port); }},
};
constexpr std::array kDestination = {
    Attribute{"address", [](Value& out) { out.text(out.info().connection->local_address); }},
    Attribute{"port", [](Value& out) { out.number(out.info().connection->local_port); }},
};

// The port of "127.0.0.1:80" or "[::1]:80".
void read_port(Value& out, std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return;
  std::int64_t port = 0;
  const std::string_view digits = address.substr(colon + 1);
  if (std::from_chars(digits.data(), digits.data() + digits.size(), port).ec == std::errc())
    out.number(port);
}

// Empty while all is well; absent before there is an upstream.
void read_transport_failure(Value& out) {
  if (!out.info().upstream_address.empty() || !out.info().upstream_failure.empty())
    out.text(out.info().upstream_failure);
}

constexpr std::array kUpstream = {
    Attribute{"address", [](Value& out) { out.text_if_any(out.info().upstream_address); }},
    Attribute{"port", [](Value& out) { read_port(out, out.info().upstream_address); }},
    Attribute{"local_address",
              [](Value& out) { out.text_if_any(out.info().upstream_local_address); }},
    Attribute{"local_port", [](Value& out) { read_port(out, out.info().upstream_local_address); }},
    Attribute{"transport_failure_reason", &read_transport_failure},
};

// The one that was asked, else the one that the route names.
void read_upstream_name(Value& out) {
  out.text_if_any(out.info().upstream.empty() ? out.info().route_upstream : out.info().upstream);
}

constexpr std::int64_t kInbound = 1;  // envoy.config.core.v3.TrafficDirection
constexpr std::string_view kNodeName = "heddle";

constexpr std::array kXds = {
    Attribute{"cluster_name", &read_upstream_name},
    Attribute{"route_name", [](Value& out) { out.text_if_any(out.info().route); }},
    Attribute{"listener_direction", [](Value& out) { out.number(kInbound); }},
    Attribute{"node", [](Value& out) { out.message(); }},
};

struct Group {
  std::string_view name;
  std::span<const Attribute> attributes;
  std::span<const Attribute> more = {};
};
constexpr std::array kGroups = {
    Group{"request", kRequest},
    Group{"response", kResponse},
    Group{"source", kSource},
    Group{"destination", kDestination},
    Group{"connection", kConnection, kTls<&client_tls>},
    Group{"upstream", kUpstream, kTls<&upstream_tls>},
    Group{"xds", kXds},
};

// Those of one segment. The first three are there from the first context_create on: SDKs choose the
// root context by them.
constexpr std::array kPluginAttributes = {
    Attribute{"plugin_name", [](Value& out) { out.text(out.spec().name); }},
    Attribute{"plugin_root_id", [](Value& out) { out.text(out.spec().root_id); }},
    Attribute{"plugin_vm_id", [](Value& out) { out.text(out.spec().vm_id); }},
    Attribute{"listener_direction", [](Value& out) { out.number(kInbound); }},
};
constexpr std::array kStreamAttributes = {
    Attribute{"cluster_name", &read_upstream_name},
    Attribute{"route_name", [](Value& out) { out.text_if_any(out.info().route); }},
    Attribute{"connection_id",
              [](Value& out) {
                if (out.info().connection != nullptr) {
                  out.unsigned_number(out.info().connection->id);
                }
              }},
};

const Attribute* find(std::span<const Attribute> attributes, std::string_view name) {
  const auto found = std::ranges::find(attributes, name, &Attribute::name);
  return found == attributes.end() ? nullptr : &*found;
}

// node.id, node.cluster; xds.node.id and so on.
void read_node(Value& out, std::string_view field) {
  if (field.empty()) out.message();
  if (field == "id" || field == "cluster") out.text(kNodeName);
}

// `filter_metadata` and what stands behind it; the segments' own dots are part of the name.
void read_route_metadata(Value& out, const PropertyPath& path, std::size_t at) {
  const auto* metadata = out.info().route_metadata;
  if (metadata == nullptr || metadata->empty()) return;
  if (path.count > at && path.segment(at) != "filter_metadata") return;
  if (path.count <= at + 1) return out.message();
  std::string name;
  for (std::size_t i = at + 1; i < path.count; i++) {
    if (!name.empty()) name += '.';
    name += path.segment(i);
  }
  if (const auto found = metadata->find(name); found != metadata->end()) out.text(found->second);
}

void read(const PropertySource& source, const PropertyPath& path, Value& out) {
  const std::string_view first = path.segment(0);
  if (first == "node") return read_node(out, path.segment(1));
  if (first == "xds" && path.segment(1) == "node") return read_node(out, path.segment(2));
  if (path.raw.empty()) return out.message();
  if (path.count == 1) {
    if (const Attribute* found = find(kPluginAttributes, first)) return found->read(out);
  }
  if (source.info == nullptr) return;
  if (first == "route_metadata") return read_route_metadata(out, path, 1);
  if (first == "xds" && path.segment(1) == "route_metadata")
    return read_route_metadata(out, path, 2);
  if (path.count == 1) {
    if (const Attribute* found = find(kStreamAttributes, first)) return found->read(out);
    if (std::ranges::find(kGroups, first, &Group::name) != kGroups.end()) out.message();
    return;
  }
  const auto group = std::ranges::find(kGroups, first, &Group::name);
  if (group == kGroups.end()) return;
  if (source.http == nullptr && (first == "request" || first == "response")) return;
  const bool needs_connection =
      first == "source" || first == "destination" || first == "connection";
  if (needs_connection && source.info->connection == nullptr) return;
  const Attribute* found = find(group->attributes, path.segment(1));
  if (found == nullptr) found = find(group->more, path.segment(1));
  if (found != nullptr) found->read(out);
}

}  // namespace

PropertyPath::PropertyPath(std::string_view given) : raw(given) {
  if (raw.ends_with('\0')) raw.remove_suffix(1);
  std::string_view rest = raw;
  while (count < kMaxSegments) {
    const std::size_t end = rest.find('\0');
    segments.at(count++) = rest.substr(0, end);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
}

Status read_attribute(const PropertySource& source, const PropertyPath& path, std::string& scratch,
                      std::string_view& value) {
  Value out(source, path, scratch);
  read(source, path, out);
  value = out.out();
  return out.status();
}

}  // namespace heddle::proxy_wasm
