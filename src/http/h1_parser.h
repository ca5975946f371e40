// The strict parser of HTTP/1.x heads (RFC 9112, RFC 9110 section 5): works in place in one
// contiguous piece of memory, lower-cases names there and leaves views to it in a HeaderMap. What
// is ambiguous is refused, with a reason.
//
// Requests yield :authority :path :method :scheme first, in this order (:authority is absent when
// an HTTP/1.0 request names no host); Host is not kept. Responses yield :status first. Bytes may
// arrive in any portions: the verdict is the same for all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/h1_reject.h"
#include "http/message.h"

namespace heddle::http {

struct HeadLimits {
  std::size_t max_head_bytes = std::size_t{64} * 1024;
  std::size_t max_headers = 100;
  std::size_t max_target_bytes = std::size_t{16} * 1024;
};

enum class BodyKind : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

struct Framing {
  BodyKind kind = BodyKind::kNone;
  std::uint64_t length = 0;  // for kLength
};

class H1Parser {
 public:
  enum class Kind : std::uint8_t { kRequest, kResponse, kTrailers };
  enum class Verdict : std::uint8_t { kIncomplete, kComplete, kReject };

  explicit H1Parser(Kind kind, bool tls = false) : kind_(kind), tls_(tls) {}

  // Forgets the head under way. Also needed when its bytes were moved; `head` must then be a
  // cleared one.
  void restart();

  // Parses data[0, size): all bytes of this head that arrived so far, at the address of the call
  // before.
  Verdict parse(char* data, std::size_t size, const HeadLimits& limits, Head& head);

  Reject reject() const { return reject_; }
  std::size_t consumed() const { return line_; }  // bytes of the head, when complete

  // What the head said, when complete.
  bool keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }
  Framing request_framing() const;
  // `head_request`: it answers a HEAD request.
  Framing response_framing(int status, bool head_request) const;

 private:
  // How far a line was parsed: its end, or null when more bytes are needed or the line is refused.
  char* parse_request_line(char* next, char* end, const HeadLimits& limits, Head& head);
  char* parse_status_line(char* next, char* end, Head& head);
  char* parse_header(char* next, char* end, Head& head);
  char* parse_line_end(char* next, char* end);
  bool parse_version(std::string_view text, Head& head);
  bool parse_target(std::string_view target, std::string_view method, Head& head);
  bool parse_absolute_target(std::string_view target, std::string_view method, Head& head);
  void note(std::string_view name, std::string_view value, bool* keep);
  void note_connection(std::string_view value);
  bool note_content_length(std::string_view value);
  bool finish(Head& head);
  char* refuse(Reject reject) {
    reject_ = reject;
    return nullptr;
  }

  Kind kind_;
  bool tls_;
  Reject reject_ = Reject::kNone;
  std::size_t line_ = 0;  // offset of the line under way
  std::size_t count_ = 0;
  bool start_line_done_ = false;
  bool crlf_skipped_ = false;
  std::string_view host_;
  std::string_view transfer_encoding_;
  std::string_view upgrade_;
  std::uint64_t content_length_ = 0;
  std::uint8_t hosts_ = 0;
  std::uint8_t content_lengths_ = 0;
  std::uint8_t transfer_encodings_ = 0;
  bool close_ = false;
  bool keep_ = false;
  bool connection_upgrade_ = false;
  bool keep_alive_ = false;
  bool expects_continue_ = false;
};

// Whether `text` is a host with an optional port, as Host and :authority carry it.
bool is_valid_authority(std::string_view text);

}  // namespace heddle::http
