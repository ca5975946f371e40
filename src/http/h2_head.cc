#include "http/h2_head.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "http/h1_scan.h"
#include "http/websocket.h"

namespace heddle::http {
namespace {

// What a header costs beside its bytes: as the colon, the blank and the line end of HTTP/1.
constexpr std::size_t kFieldOverhead = 4;
// Where a request's pseudo-headers stand.
constexpr std::size_t kAuthority = 0;
constexpr std::size_t kPath = 1;
constexpr std::size_t kMethod = 2;

}  // namespace

void H2HeadReader::start(Kind kind, const HeadLimits& limits, bool tls) {
  head_ = make_head();
  head_->protocol = Protocol::kHttp2;
  limits_ = limits;
  kind_ = kind;
  tls_ = tls;
  reject_ = Reject::kNone;
  reading_ = true;
  expects_continue_ = false;
  bytes_ = count_ = cookies_ = 0;
  content_length_.reset();
  host_ = protocol_ = {};
  HeaderMap& headers = head_->headers;
  if (kind == Kind::kRequest) {
    headers.add_view(":authority", {});
    headers.add_view(":path", {});
    headers.add_view(":method", {});
    headers.add_view(":scheme", tls ? "https" : "http");
  } else if (kind == Kind::kResponse) {
    headers.add_view(":status", {});
  }
}

void H2HeadReader::abandon() {
  reading_ = false;
  head_.reset();
}

void H2HeadReader::add(std::string_view name, std::string_view value, bool lasting_name,
                       bool lasting_value) {
  if (!head_) return;
  bytes_ += name.size() + value.size() + kFieldOverhead;
  if (reject_ != Reject::kNone) return;
  if (bytes_ > limits_.max_head_bytes) {
    refuse(kind_ == Kind::kTrailers ? Reject::kTrailersTooLarge : Reject::kHeadTooLarge);
    return;
  }
  if (!lasting_value) value = head_->arena.copy(value);
  if (!name.empty() && name.front() == ':') {
    add_pseudo(name, value);
    return;
  }
  if (++count_ > limits_.max_headers) {
    refuse(Reject::kTooManyHeaders);
    return;
  }
  bool keep = true;
  if (kind_ == Kind::kRequest) note_request(name, value, &keep);
  if (kind_ != Kind::kTrailers && name == "content-length") content_length_ = parse_length(value);
  if (keep) head_->headers.add_view(lasting_name ? name : head_->arena.copy(name), value);
}

void H2HeadReader::add_pseudo(std::string_view name, std::string_view value) {
  HeaderMap& headers = head_->headers;
  if (kind_ == Kind::kResponse) {
    headers.set_value_at(0, value);
  } else if (name == ":authority") {
    headers.set_value_at(kAuthority, value);
  } else if (name == ":path") {
    if (value.size() > limits_.max_target_bytes) refuse(Reject::kTargetTooLong);
    headers.set_value_at(kPath, value);
  } else if (name == ":method") {
    headers.set_value_at(kMethod, value);
  } else if (name == ":protocol") {
    protocol_ = value;
  } else if (name == ":scheme") {
    // Which one it is, is told by the connection and not by the peer.
    if (!equals_ignoring_case(value, "http") && !equals_ignoring_case(value, "https"))
      refuse(Reject::kMalformedHttp2);
  }
}

void H2HeadReader::note_request(std::string_view name, std::string_view value, bool* keep) {
  switch (name.size()) {
    case 4:
      if (name != "host") break;
      *keep = false;
      if (!host_.empty() && host_ != value) refuse(Reject::kDuplicateHost);
      host_ = value;
      break;
    case 6:
      if (name == "cookie") {
        ++cookies_;
      } else if (name == "expect" && equals_ignoring_case(value, "100-continue")) {
        *keep = false;
        expects_continue_ = true;
      }
      break;
    default:
      break;
  }
}

Reject H2HeadReader::finish() {
  reading_ = false;
  if (kind_ == Kind::kTrailers && head_) remove_forbidden_trailers(head_->headers);
  if (reject_ != Reject::kNone || kind_ != Kind::kRequest) return reject_;
  const std::string_view method = head_->method();
  if (method == "CONNECT" && protocol_.empty()) return Reject::kConnect;
  if (!is_token(method)) return Reject::kInvalidMethod;
  if (!finish_authority()) return Reject::kInvalidHost;
  if (!has_good_target()) return Reject::kInvalidTarget;
  if (cookies_ > 1) join_cookies();
  if (!protocol_.empty()) {
    if (method != "CONNECT" || !is_token(protocol_)) return Reject::kMalformedHttp2;
    finish_upgrade();
  }
  return Reject::kNone;
}

// Two different hosts would reach different routes, here and behind.
bool H2HeadReader::finish_authority() {
  HeaderMap& headers = head_->headers;
  if (head_->authority().empty()) {
    headers.set_value_at(kAuthority, host_);
  } else if (!host_.empty() && !equals_ignoring_case(host_, head_->authority())) {
    return false;
  }
  return is_valid_authority(head_->authority());
}

bool H2HeadReader::has_good_target() const {
  const std::string_view path = head_->path();
  if (path == "*") return head_->method() == "OPTIONS";
  if (path.empty() || path.front() != '/') return false;
  return std::all_of(path.begin(), path.end(), is_target_char);
}

void H2HeadReader::finish_upgrade() {
  HeaderMap& headers = head_->headers;
  headers.set_value_at(kMethod, "GET");
  headers.remove("upgrade");
  headers.add_view("connection", "upgrade");
  headers.add_view("upgrade", protocol_);
  if (equals_ignoring_case(protocol_, "websocket") && !headers.contains("sec-websocket-key"))
    add_websocket_key(headers);
  head_->upgrade = true;
}

void H2HeadReader::join_cookies() {
  HeaderMap& headers = head_->headers;
  std::size_t size = 0;
  for (const HeaderMap::Entry& entry : headers) {
    if (entry.name == "cookie") size += entry.value.size() + 2;
  }
  char* const joined = head_->arena.allocate(size);
  char* next = joined;
  for (const HeaderMap::Entry& entry : headers) {
    if (entry.name != "cookie") continue;
    if (next != joined) {
      *next++ = ';';
      *next++ = ' ';
    }
    next = std::copy(entry.value.begin(), entry.value.end(), next);
  }
  headers.set_view("cookie", {joined, static_cast<std::size_t>(next - joined)});
}

}  // namespace heddle::http
