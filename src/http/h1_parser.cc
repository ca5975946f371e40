#include "http/h1_parser.h"

#include <algorithm>
#include <cstring>

#include "http/h1_scan.h"
#include "http/h1_tables.h"

namespace heddle::http {
namespace {

constexpr std::size_t kVersionSize = 8;  // "HTTP/1.1"
// No registered method is longer than 17 bytes.
constexpr std::ptrdiff_t kMaxMethodSize = 32;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
char token_char(char c) {
  return kTokenTable[static_cast<unsigned char>(c)];
}

std::string_view view(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace

bool is_valid_authority(std::string_view text) {
  std::size_t host_end = 0;
  if (text.starts_with('[')) {
    host_end = text.find(']');
    if (host_end == std::string_view::npos || host_end < 3) return false;
    const std::string_view address = text.substr(1, host_end - 1);
    if (!std::all_of(address.begin(), address.end(), [](char c) {
          return kHexTable[static_cast<unsigned char>(c)] >= 0 || c == ':' || c == '.';
        })) {
      return false;
    }
    ++host_end;
  } else {
    while (host_end < text.size() && kHostTable[static_cast<unsigned char>(text[host_end])])
      ++host_end;
    if (host_end == 0) return false;
  }
  if (host_end == text.size()) return true;
  if (text[host_end] != ':') return false;
  const std::string_view port = text.substr(host_end + 1);
  return port.size() <= 5 && std::all_of(port.begin(), port.end(), is_digit);
}

void H1Parser::restart() {
  *this = H1Parser(kind_, tls_);
}

H1Parser::Verdict H1Parser::parse(char* data, std::size_t size, const HeadLimits& limits,
                                  Head& head) {
  // Bytes beyond the limit must not change the verdict.
  char* const end = data + std::min(size, limits.max_head_bytes);
  char* next = data + line_;
  if (!start_line_done_ && kind_ != Kind::kTrailers) {
    if (!crlf_skipped_ && kind_ == Kind::kRequest && next != end && *next == '\r') {
      next = parse_line_end(next, end);
      if (next != nullptr) {
        crlf_skipped_ = true;
        line_ = static_cast<std::size_t>(next - data);
      }
    }
    if (next != nullptr) {
      next = kind_ == Kind::kRequest ? parse_request_line(next, end, limits, head)
                                     : parse_status_line(next, end, head);
    }
    start_line_done_ = next != nullptr;
  }
  while (next != nullptr) {
    line_ = static_cast<std::size_t>(next - data);
    if (next == end) break;
    if (*next == '\r') {
      next = parse_line_end(next, end);
      if (next == nullptr) break;
      line_ = static_cast<std::size_t>(next - data);
      return finish(head) ? Verdict::kComplete : Verdict::kReject;
    }
    if (count_ == limits.max_headers) {
      next = refuse(Reject::kTooManyHeaders);
      break;
    }
    next = parse_header(next, end, head);
    if (next != nullptr) ++count_;
  }
  if (reject_ != Reject::kNone) return Verdict::kReject;
  if (size < limits.max_head_bytes) return Verdict::kIncomplete;
  reject_ = Reject::kHeadTooLarge;
  return Verdict::kReject;
}

char* H1Parser::parse_line_end(char* next, char* end) {
  if (next == end) return nullptr;
  if (*next == '\n') return refuse(Reject::kBareLf);
  if (next + 1 == end) return nullptr;
  if (next[1] != '\n') return refuse(Reject::kBareCr);
  return next + 2;
}

char* H1Parser::parse_request_line(char* next, char* end, const HeadLimits& limits, Head& head) {
  char* const method_begin = next;
  while (next != end && token_char(*next) != 0) ++next;
  if (next - method_begin > kMaxMethodSize) return refuse(Reject::kInvalidMethod);
  if (next == end) return nullptr;
  if (*next == '\n') return refuse(Reject::kBareLf);
  if (next == method_begin && (is_blank(*next) || *next == '\r'))
    return refuse(Reject::kLeadingWhitespace);
  if (*next != ' ' || next == method_begin) return refuse(Reject::kInvalidMethod);
  const std::string_view method = view(method_begin, next);

  char* const target_begin = ++next;
  next = scan_target(next, end);
  if (static_cast<std::size_t>(next - target_begin) > limits.max_target_bytes)
    return refuse(Reject::kTargetTooLong);
  if (next == end) return nullptr;
  if (*next == '\n') return refuse(Reject::kBareLf);
  if (*next == '\r') return refuse(Reject::kInvalidVersion);  // HTTP/0.9
  if (*next != ' ' || next == target_begin) return refuse(Reject::kInvalidTarget);
  const std::string_view target = view(target_begin, next);

  char* const version_begin = ++next;
  while (next != end && *next != '\r' && *next != '\n' &&
         next - version_begin <= static_cast<std::ptrdiff_t>(kVersionSize)) {
    ++next;
  }
  if (next - version_begin > static_cast<std::ptrdiff_t>(kVersionSize))
    return refuse(Reject::kInvalidVersion);
  char* const after = parse_line_end(next, end);
  if (after == nullptr) return nullptr;
  if (!parse_version(view(version_begin, next), head)) return nullptr;
  if (method == "CONNECT") return refuse(Reject::kConnect);

  head.headers.add_view(":authority", {});
  if (!parse_target(target, method, head)) return refuse(Reject::kInvalidTarget);
  head.headers.add_view(":method", method);
  head.headers.add_view(":scheme", tls_ ? "https" : "http");
  return after;
}

bool H1Parser::parse_version(std::string_view text, Head& head) {
  if (text == "HTTP/1.1") {
    head.protocol = Protocol::kHttp11;
    return true;
  }
  if (text == "HTTP/1.0") {
    head.protocol = Protocol::kHttp10;
    return true;
  }
  const bool version = text.size() == kVersionSize && text.starts_with("HTTP/") &&
                       is_digit(text[5]) && text[6] == '.' && is_digit(text[7]);
  refuse(version ? Reject::kUnsupportedVersion : Reject::kInvalidVersion);
  return false;
}

bool H1Parser::parse_target(std::string_view target, std::string_view method, Head& head) {
  if (target.front() == '/') {
    head.headers.add_view(":path", target);
    return true;
  }
  if (target == "*") {
    head.headers.add_view(":path", target);
    return method == "OPTIONS";
  }
  return parse_absolute_target(target, method, head);
}

// http://host/path: RFC 9112 section 3.2.2 lets its host win over the Host header.
bool H1Parser::parse_absolute_target(std::string_view target, std::string_view method, Head& head) {
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos) return false;
  const std::string_view scheme = target.substr(0, colon);
  if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https")) return false;
  const std::string_view rest = target.substr(colon + 3);
  const std::size_t path_begin = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, path_begin);
  if (!is_valid_authority(authority)) return false;
  std::string_view path = rest.substr(path_begin);
  if (path.empty()) {
    path = method == "OPTIONS" ? "*" : "/";
  } else if (path.front() == '?') {
    char* const copy = head.arena.allocate(path.size() + 1);
    *copy = '/';
    std::memcpy(copy + 1, path.data(), path.size());
    path = {copy, path.size() + 1};
  }
  head.headers.set_value_at(0, authority);
  head.headers.add_view(":path", path);
  return true;
}

char* H1Parser::parse_status_line(char* next, char* end, Head& head) {
  constexpr std::size_t kStatusEnd = kVersionSize + 4;  // "HTTP/1.1 200"
  char* const line_end = scan_value(next, end);
  if (line_end == end && static_cast<std::size_t>(end - next) < kStatusEnd) return nullptr;
  if (static_cast<std::size_t>(line_end - next) < kStatusEnd) {
    return refuse(*line_end == '\n' ? Reject::kBareLf : Reject::kInvalidStatusLine);
  }
  if (!parse_version(view(next, next + kVersionSize), head)) return nullptr;
  const std::string_view status = view(next + kVersionSize + 1, next + kStatusEnd);
  if (next[kVersionSize] != ' ' || status[0] < '1' || status[0] > '9' || !is_digit(status[1]) ||
      !is_digit(status[2])) {
    return refuse(Reject::kInvalidStatusLine);
  }
  if (next + kStatusEnd != end && next[kStatusEnd] != ' ' && next[kStatusEnd] != '\r') {
    return refuse(next[kStatusEnd] == '\n' ? Reject::kBareLf : Reject::kInvalidStatusLine);
  }
  if (line_end == end) return nullptr;
  if (*line_end == '\n') return refuse(Reject::kBareLf);
  if (*line_end != '\r') return refuse(Reject::kInvalidStatusLine);
  char* const after = parse_line_end(line_end, end);
  if (after != nullptr) head.headers.add_view(":status", status);
  return after;
}

char* H1Parser::parse_header(char* next, char* end, Head& head) {
  char* const name_begin = next;
  for (char lower = 0; next != end && (lower = token_char(*next)) != 0; ++next) *next = lower;
  if (next == end) return nullptr;
  if (*next != ':') {
    if (is_blank(*next))
      return refuse(next == name_begin ? Reject::kObsFold : Reject::kSpaceBeforeColon);
    if (*next == '\n') return refuse(next == name_begin ? Reject::kBareLf : Reject::kMissingColon);
    return refuse(*next == '\r' ? Reject::kMissingColon : Reject::kInvalidName);
  }
  if (next == name_begin) return refuse(Reject::kEmptyName);
  const std::string_view name = view(name_begin, next);
  ++next;
  while (next != end && is_blank(*next)) ++next;
  char* const value_begin = next;
  next = scan_value(next, end);
  if (next == end) return nullptr;
  if (*next == '\0') return refuse(Reject::kNulInValue);
  if (*next != '\r' && *next != '\n') return refuse(Reject::kControlInValue);
  char* const after = parse_line_end(next, end);
  if (after == nullptr) return nullptr;
  while (next != value_begin && is_blank(next[-1])) --next;
  const std::string_view value = view(value_begin, next);
  bool keep = true;
  if (kind_ != Kind::kTrailers) note(name, value, &keep);
  if (reject_ != Reject::kNone) return nullptr;
  if (keep) head.headers.add_view(name, value);
  return after;
}

// Takes down what decides about framing and the connection. Most names are told apart by their
// length alone.
void H1Parser::note(std::string_view name, std::string_view value, bool* keep) {
  switch (name.size()) {
    case 4:
      if (kind_ == Kind::kRequest && name == "host") {
        *keep = false;
        host_ = value;
        if (++hosts_ > 1) refuse(Reject::kDuplicateHost);
      }
      break;
    case 6:
      if (kind_ == Kind::kRequest && name == "expect" &&
          equals_ignoring_case(value, "100-continue")) {
        *keep = false;  // answered by the connection: it is about this hop
        expects_continue_ = true;
      }
      break;
    case 7:
      if (name == "upgrade" && upgrade_.empty()) upgrade_ = value;  // as wants_upgrade()
      break;
    case 10:
      if (name == "connection") note_connection(value);
      break;
    case 14:
      if (name == "content-length") {
        if (++content_lengths_ > 1) {
          refuse(Reject::kDuplicateContentLength);
        } else if (!note_content_length(value)) {
          refuse(Reject::kInvalidContentLength);
        }
      }
      break;
    case 17:
      if (name == "transfer-encoding") {
        transfer_encoding_ = value;
        if (++transfer_encodings_ > 1) refuse(Reject::kInvalidTransferEncoding);
      }
      break;
    default:
      break;
  }
}

void H1Parser::note_connection(std::string_view value) {
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    const std::string_view token = trim(value.substr(0, comma));
    value.remove_prefix(std::min(comma + 1, value.size()));
    if (equals_ignoring_case(token, "close")) close_ = true;
    if (equals_ignoring_case(token, "keep-alive")) keep_ = true;
    if (equals_ignoring_case(token, "upgrade")) connection_upgrade_ = true;
  }
}

bool H1Parser::note_content_length(std::string_view value) {
  constexpr std::size_t kMaxDigits = 18;  // fits 63 bits
  if (value.empty() || value.size() > kMaxDigits ||
      !std::all_of(value.begin(), value.end(), is_digit))
    return false;
  content_length_ = 0;
  for (const char c : value)
    content_length_ = content_length_ * 10 + static_cast<std::uint64_t>(c - '0');
  return true;
}

// The checks that need the whole head.
bool H1Parser::finish(Head& head) {
  if (kind_ == Kind::kTrailers) return true;
  const bool http10 = head.protocol == Protocol::kHttp10;
  if (transfer_encodings_ > 0) {
    if (http10) return refuse(Reject::kTransferEncodingInHttp10) != nullptr;
    if (content_lengths_ > 0) return refuse(Reject::kTransferEncodingWithContentLength) != nullptr;
    if (!equals_ignoring_case(transfer_encoding_, "chunked")) {
      const std::size_t comma = transfer_encoding_.rfind(',');
      const std::string_view last =
          trim(transfer_encoding_.substr(comma == std::string_view::npos ? 0 : comma + 1));
      const bool chunked_last = equals_ignoring_case(last, "chunked");
      return refuse(chunked_last ? Reject::kUnsupportedTransferEncoding
                                 : Reject::kInvalidTransferEncoding) != nullptr;
    }
  }
  keep_alive_ = !close_ && (!http10 || keep_);
  // h2c is not offered: such a request is answered as if it had not asked (RFC 9110 section 7.8).
  const bool upgrade =
      !http10 && connection_upgrade_ && !upgrade_.empty() && !equals_ignoring_case(upgrade_, "h2c");
  if (kind_ == Kind::kResponse) {
    head.upgrade = upgrade && head.status() == 101;
    return true;
  }
  head.upgrade = upgrade && request_framing().kind == BodyKind::kNone;
  if (hosts_ == 0) {
    if (!http10) return refuse(Reject::kMissingHost) != nullptr;
    if (head.authority().empty()) head.headers.remove(":authority");
    return true;
  }
  if (!is_valid_authority(host_)) return refuse(Reject::kInvalidHost) != nullptr;
  if (head.authority().empty()) head.headers.set_value_at(0, host_);
  return true;
}

Framing H1Parser::request_framing() const {
  if (transfer_encodings_ > 0) return {BodyKind::kChunked, 0};
  if (content_length_ > 0) return {BodyKind::kLength, content_length_};
  return {};
}

Framing H1Parser::response_framing(int status, bool head_request) const {
  if (head_request || status < 200 || status == 204 || status == 304) return {};
  if (transfer_encodings_ > 0) return {BodyKind::kChunked, 0};
  if (content_lengths_ == 0) return {BodyKind::kUntilClose, 0};
  if (content_length_ > 0) return {BodyKind::kLength, content_length_};
  return {};
}

}  // namespace heddle::http
