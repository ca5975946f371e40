// Why a message is refused: one list for heads and bodies, with the status that a server answers
// and the name that metrics, logs and tests use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle::http {

enum class Reject : std::uint8_t {
  kNone,
  kBareLf,
  kBareCr,
  kObsFold,
  kSpaceBeforeColon,
  kMissingColon,
  kEmptyName,
  kInvalidName,
  kNulInValue,
  kControlInValue,
  kMissingHost,
  kDuplicateHost,
  kInvalidHost,
  kInvalidContentLength,
  kDuplicateContentLength,
  kInvalidTransferEncoding,
  kUnsupportedTransferEncoding,
  kTransferEncodingWithContentLength,
  kTransferEncodingInHttp10,
  kInvalidVersion,
  kUnsupportedVersion,
  kInvalidMethod,
  kInvalidTarget,
  kInvalidStatusLine,
  kLeadingWhitespace,
  kConnect,
  kInvalidChunkSize,
  kInvalidChunkEnd,
  kMalformedHttp2,
  kCutOff,
  // Limits from here on.
  kHeadTooLarge,
  kTooManyHeaders,
  kTargetTooLong,
  kChunkExtensionTooLong,
  kTrailersTooLarge,
  kBodyTooLarge,
  kHeadTimeout,
  kBodyTimeout,
  kCount,
};

struct RejectInfo {
  int status;
  std::string_view name;  // of the metric label, snake_case
  std::string_view text;  // for the peer and the log
};

const RejectInfo& info(Reject reject);
constexpr bool is_limit(Reject reject) {
  return reject >= Reject::kHeadTooLarge;
}
inline constexpr std::size_t kRejectCount = static_cast<std::size_t>(Reject::kCount);

}  // namespace heddle::http
