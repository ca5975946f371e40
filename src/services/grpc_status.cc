#include "services/grpc_status.h"

#include <charconv>

#include "http/grpc.h"

namespace heddle::services {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

GrpcCode parse_code(std::string_view text) {
  std::uint32_t code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  if (error != std::errc() || end != text.data() + text.size() || code > kMaxGrpcCode) {
    return GrpcCode::kUnknown;
  }
  return static_cast<GrpcCode>(code);
}

}  // namespace

GrpcCode grpc_code_of_http(int status) {
  return static_cast<GrpcCode>(http::grpc_status_of_http(status));
}

std::optional<GrpcStatus> grpc_status_of(const http::HeaderMap& headers) {
  const auto code = headers.get("grpc-status");
  if (!code) return std::nullopt;
  return GrpcStatus{.code = parse_code(*code),
                    .message = percent_decode(headers.get("grpc-message").value_or(""))};
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string grpc_timeout(std::chrono::milliseconds timeout) {
  constexpr std::int64_t kMaxDigits = 99'999'999;
  if (timeout.count() <= kMaxDigits) return std::to_string(timeout.count()) + "m";
  return std::to_string(timeout.count() / 1000) + "S";  // four weeks of milliseconds are less
}

}  // namespace heddle::services
