// The `traceparent` header (W3C Trace Context, level 1): a valid one is passed on as it came,
// otherwise a new one starts.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace heddle::telemetry {

// "00-<32 hex trace id>-<16 hex parent id>-<2 hex flags>"; a value type of 55 characters.
class TraceParent {
 public:
  static constexpr std::size_t kSize = 55;

  // A header value that came in. Nothing when it is malformed, has a zero id or version ff, and so
  // must be ignored. A later version may have more after the flags; the first four fields are kept.
  static std::optional<TraceParent> parse(std::string_view header);
  // Random ids, from a generator per thread that the kernel seeds.
  static TraceParent generate(bool sampled);

  std::string_view text() const { return {text_.data(), kSize}; }
  std::string_view trace_id() const { return text().substr(3, 32); }
  std::string_view parent_id() const { return text().substr(36, 16); }
  bool sampled() const;

 private:
  std::array<char, kSize> text_{};
};

// 16 bytes of randomness as 32 hex digits or as a UUID (version 4): request ids. Not for secrets.
std::array<char, 36> random_uuid();

}  // namespace heddle::telemetry
