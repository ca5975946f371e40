// Where a plugin's gRPC call goes: plugins name an upstream, or pass the bytes of an Envoy
// configuration message (envoy.config.core.v3.GrpcService), as the C++ SDK does.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::proxy_wasm {

struct GrpcTarget {
  std::string upstream;  // a name, or host:port
  std::string authority;
  bool is_address = false;  // never a name
  bool needs_tls = false;   // the address is asked for with TLS credentials
  std::chrono::milliseconds timeout{0};
  std::vector<std::pair<std::string, std::string>> metadata;
};

// Any bytes may be given. Nothing: they are no GrpcService that names a target.
std::optional<GrpcTarget> parse_grpc_service(std::string_view bytes);

}  // namespace heddle::proxy_wasm
