// Any bytes as a head: the verdict does not depend on how they arrive, and what is accepted is
// written such that it parses again to the same head.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/h1_parser.h"
#include "http/h1_writer.h"

namespace {

using namespace heddle::http;
using Kind = H1Parser::Kind;
using Verdict = H1Parser::Verdict;

constexpr HeadLimits kLimits{.max_head_bytes = 2048, .max_headers = 20, .max_target_bytes = 256};
constexpr HeadLimits kNoLimits;  // for what the writer adds

void require(bool good) {
  if (!good) std::abort();
}

struct Parsed {
  Verdict verdict = Verdict::kIncomplete;
  Reject reject = Reject::kNone;
  std::size_t consumed = 0;
  std::string text;  // of what the head means
  HeadPtr head = make_head();
  std::string bytes;
};

bool is_own(std::string_view name) {
  return name == "connection" || name == "keep-alive" || name == "te" || name == "upgrade" ||
         name == "proxy-connection" || name == "transfer-encoding" || name == "host" ||
         name == "content-length";
}

Parsed parse(Kind kind, std::string bytes, std::size_t step, const HeadLimits& limits = kLimits) {
  Parsed out;
  out.bytes = std::move(bytes);
  H1Parser parser(kind);
  for (std::size_t size = 0; size < out.bytes.size() && out.verdict == Verdict::kIncomplete;) {
    size = std::min(size + step, out.bytes.size());
    out.verdict = parser.parse(out.bytes.data(), size, limits, *out.head);
  }
  out.reject = parser.reject();
  if (out.verdict != Verdict::kComplete) return out;
  out.consumed = parser.consumed();
  for (const auto& entry : out.head->headers) {
    const bool pseudo = entry.name.front() == ':';
    if (!pseudo && (is_own(entry.name) || out.head->headers.has_token("connection", entry.name)))
      continue;
    out.text += std::string(entry.name) + "=" + std::string(entry.value) + "\n";
  }
  return out;
}

void check(Kind kind, const std::string& bytes) {
  const Parsed whole = parse(kind, bytes, bytes.size());
  for (const std::size_t step : {1, 5}) {
    const Parsed parts = parse(kind, bytes, step);
    require(parts.verdict == whole.verdict && parts.reject == whole.reject &&
            parts.consumed == whole.consumed && parts.text == whole.text);
  }
  if (whole.verdict != Verdict::kComplete) return;
  if (kind == Kind::kRequest && !whole.head->headers.contains(":authority"))
    return;  // would get an empty Host
  Buffer out;
  OutputBlock block;
  if (kind == Kind::kRequest) {
    write_request_head(out, block, whole.head->headers, {.end = true});
  } else {
    write_response_head(out, block, whole.head->headers, whole.head->status(),
                        {.end = true, .body_allowed = false});
  }
  const std::string written = out.to_string();
  const Parsed again = parse(kind, written, written.size(), kNoLimits);
  require(again.verdict == Verdict::kComplete && again.consumed == written.size() &&
          again.text == whole.text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 8192) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  check(Kind::kRequest, bytes);
  check(Kind::kResponse, bytes);
  return 0;
}
