// The numbers of the Proxy-Wasm ABI, as specification v0.2.1 and the C++ SDK have them (reference/proxy-wasm.md section 2).
#pragma once

#include <cstdint>

namespace heddle::proxy_wasm {

enum class AbiVersion : std::uint8_t { k0_1_0, k0_2_0, k0_2_1 };

// What a host call returns. Statuses that the Rust SDK does not know (5, 6, 9, 11, 12) make it panic.
enum class Status : std::int32_t {
  kOk = 0,
  kNotFound = 1,
  kBadArgument = 2,
  kSerializationFailure = 3,
  kParseFailure = 4,
  kInvalidMemoryAccess = 6,
  kEmpty = 7,
  kCasMismatch = 8,
  kInternalFailure = 10,
  kUnimplemented = 12,
};

enum class BufferType : std::uint32_t {
  kHttpRequestBody = 0,
  kHttpResponseBody = 1,
  kDownstreamData = 2,
  kUpstreamData = 3,
  kHttpCallResponseBody = 4,
  kGrpcReceive = 5,
  kVmConfiguration = 6,
  kPluginConfiguration = 7,
  kCallData = 8,
};
inline constexpr std::uint32_t kBufferTypes = 9;

enum class MapType : std::uint32_t {
  kRequestHeaders = 0,
  kRequestTrailers = 1,
  kResponseHeaders = 2,
  kResponseTrailers = 3,
  kGrpcInitialMetadata = 4,
  kGrpcTrailingMetadata = 5,
  kHttpCallResponseHeaders = 6,
  kHttpCallResponseTrailers = 7,
};
inline constexpr std::uint32_t kMapTypes = 8;

enum class StreamType : std::uint32_t { kRequest = 0, kResponse = 1, kDownstream = 2, kUpstream = 3 };

inline constexpr std::uint32_t kRootContext = 1;  // id of a VM's root context

}  // namespace heddle::proxy_wasm
