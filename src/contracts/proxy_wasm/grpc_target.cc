#include "contracts/proxy_wasm/grpc_target.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/protobuf.h"

namespace heddle::proxy_wasm {
namespace {

using protobuf::Field;
using protobuf::Reader;

// Calls `use` with each field; false when the bytes are no message, or one of `use` is not.
template <typename Use>
bool each_field(std::string_view bytes, Use use) {
  Reader reader(bytes);
  while (const auto field = reader.next()) {
    if (!use(*field)) return false;
  }
  return reader.ok();
}

// EnvoyGrpc: cluster_name 1, authority 2.
bool read_envoy_grpc(std::string_view bytes, GrpcTarget& out) {
  out.upstream.clear();
  out.authority.clear();
  out.is_address = out.needs_tls = false;
  return each_field(bytes, [&](const Field& field) {
    if (field.number == 1) out.upstream = field.bytes;
    if (field.number == 2) out.authority = field.bytes;
    return true;
  });
}

// gRPC's names of targets: [dns:[//authority/]]host:port, ipv4:host:port, ipv6:[host]:port.
std::string_view address_of(std::string_view uri) {
  for (const std::string_view scheme : {"dns:", "ipv4:", "ipv6:"}) {
    if (!uri.starts_with(scheme)) continue;
    uri.remove_prefix(scheme.size());
    if (uri.starts_with("//")) {
      const std::size_t slash = uri.find('/', 2);
      uri.remove_prefix(slash == std::string_view::npos ? uri.size() : slash + 1);
    }
    break;
  }
  return uri;
}

// GoogleGrpc: target_uri 1, channel_credentials 2 {ssl_credentials 1, google_default 2,
// local_credentials 3}.
bool read_google_grpc(std::string_view bytes, GrpcTarget& out) {
  out.upstream.clear();
  out.needs_tls = false;
  out.is_address = true;
  const bool read = each_field(bytes, [&](const Field& field) {
    if (field.number == 1) out.upstream = address_of(field.bytes);
    if (field.number != 2) return true;
    return each_field(field.bytes, [&](const Field& credentials) {
      out.needs_tls |= credentials.number == 1 || credentials.number == 2;
      return true;
    });
  });
  out.authority = out.upstream;
  return read;
}

// Duration: seconds 1, nanos 2; negative ones count as none.
bool read_timeout(std::string_view bytes, GrpcTarget& out) {
  constexpr std::int64_t kMaxSeconds = UINT32_MAX / 1000;
  std::int64_t milliseconds = 0;
  const bool read = each_field(bytes, [&](const Field& field) {
    const auto value = static_cast<std::int64_t>(field.varint_or(0));
    if (field.number == 1) milliseconds += std::clamp<std::int64_t>(value, 0, kMaxSeconds) * 1000;
    if (field.number == 2) {
      milliseconds += std::clamp<std::int64_t>(value, 0, 999'999'999) / 1'000'000;
    }
    return true;
  });
  out.timeout = std::chrono::milliseconds(std::min<std::int64_t>(milliseconds, UINT32_MAX));
  return read;
}

// HeaderValue: key 1, value 2, raw_value 3.
bool read_metadata(std::string_view bytes, GrpcTarget& out) {
  std::pair<std::string, std::string> header;
  const bool read = each_field(bytes, [&](const Field& field) {
    if (field.number == 1) header.first = field.bytes;
    if ((field.number == 2 || field.number == 3) && !field.bytes.empty()) {
      header.second = field.bytes;
    }
    return true;
  });
  if (!header.first.empty()) out.metadata.push_back(std::move(header));
  return read;
}

}  // namespace

std::optional<GrpcTarget> parse_grpc_service(std::string_view bytes) {
  GrpcTarget out;
  const bool read = each_field(bytes, [&](const Field& field) {
    if (field.type != protobuf::WireType::kBytes) return true;
    switch (field.number) {
      case 1:
        return read_envoy_grpc(field.bytes, out);
      case 2:
        return read_google_grpc(field.bytes, out);
      case 3:
        return read_timeout(field.bytes, out);
      case 5:
        return read_metadata(field.bytes, out);
      default:
        return true;
    }
  });
  if (!read || out.upstream.empty()) return std::nullopt;
  if (out.authority.empty()) out.authority = out.upstream;
  return out;
}

}  // namespace heddle::proxy_wasm
