// gRPC statuses, and how they travel over HTTP/2 (grpc/doc: statuscodes.md,
// http-grpc-status-mapping.md, PROTOCOL-HTTP2.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/header_map.h"

namespace heddle::services {

enum class GrpcCode : std::uint32_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};
inline constexpr std::uint32_t kMaxGrpcCode = 16;

struct GrpcStatus {
  GrpcCode code = GrpcCode::kOk;
  std::string message;
  bool local = false;  // found on this side, not said by the upstream
};

// What an HTTP status other than 200 means without a gRPC status.
GrpcCode grpc_code_of_http(int status);

// Of `grpc-status` and `grpc-message`; nothing when there is no status. One that is no number of
// the list is kUnknown.
std::optional<GrpcStatus> grpc_status_of(const http::HeaderMap& headers);

// `grpc-message` is percent-encoded; what is no escape stays as it is.
std::string percent_decode(std::string_view text);

// The value of `grpc-timeout`: at most eight digits and a unit.
std::string grpc_timeout(std::chrono::milliseconds timeout);

}  // namespace heddle::services
