// Any bytes as a GrpcService: no target, or one with a name.
#include <cstdint>
#include <cstdlib>

#include "contracts/proxy_wasm/grpc_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto target = heddle::proxy_wasm::parse_grpc_service(
      std::string_view(reinterpret_cast<const char*>(data), size));
  if (target && (target->upstream.empty() || target->authority.empty() ||
                 target->upstream.size() > size || target->timeout.count() < 0)) {
    std::abort();
  }
  return 0;
}
