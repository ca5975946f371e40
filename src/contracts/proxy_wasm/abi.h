// The numbers of the Proxy-Wasm ABI (specification 0.2.1, "Types"; 0.1.0 and 0.2.0 use the same).
#pragma once

#include <cstdint>

namespace heddle::proxy_wasm {

enum class AbiVersion : std::uint8_t { k0_1_0, k0_2_0, k0_2_1 };

// What a host call returns. The Rust SDK panics on values that it does not expect of a call, so
// each call keeps to its list (reference/proxy-wasm.md, section 8).
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
  kBrokenConnection = 11,
  kUnimplemented = 12,
};

enum class BufferType : std::uint32_t {
  kRequestBody = 0,
  kResponseBody = 1,
  kDownstreamData = 2,
  kUpstreamData = 3,
  kHttpCallResponseBody = 4,
  kGrpcMessage = 5,
  kVmConfiguration = 6,
  kPluginConfiguration = 7,
  kForeignArguments = 8,
};
inline constexpr std::uint32_t kMaxBufferType = 8;

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
inline constexpr std::uint32_t kMaxMapType = 7;

enum class StreamType : std::uint32_t {
  kRequest = 0,
  kResponse = 1,
  kDownstream = 2,
  kUpstream = 3
};

// What callbacks return (C++ SDK: FilterHeadersStatus, FilterDataStatus); the specification knows 0
// and 1 only.
enum class HeadersStatus : std::uint32_t {
  kContinue = 0,
  kStopIteration = 1,
  kContinueAndEndStream = 2,
  kStopAllIterationAndBuffer = 3,
  kStopAllIterationAndWatermark = 4,
};
enum class DataStatus : std::uint32_t {
  kContinue = 0,
  kStopIterationAndBuffer = 1,
  kStopIterationAndWatermark = 2,
  kStopIterationNoBuffer = 3,
};

inline constexpr std::uint32_t kMaxLogLevel = 5;  // trace 0 ... critical 5, as LogLevel
inline constexpr std::uint32_t kRootParent = 0;

}  // namespace heddle::proxy_wasm
