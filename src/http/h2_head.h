// Heads and trailers of HTTP/2 on their way into a Head, as strictly as H1Parser reads them
// (RFC 9113 section 8). nghttp2 has checked characters, the order of pseudo-headers, connection
// headers and te before; what is checked here is what it leaves open. Private to this folder.
//
// A request yields :authority :path :method :scheme first, as over HTTP/1; Host is not kept,
// cookies are joined (section 8.2.3). Extended CONNECT (RFC 8441) becomes what HTTP/1 calls an
// upgrade.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "http/h1_parser.h"
#include "http/h1_reject.h"
#include "http/message.h"

namespace heddle::http {

class H2HeadReader {
 public:
  enum class Kind : std::uint8_t { kRequest, kResponse, kTrailers };

  // A section begins. One at a time: nothing comes between the frames of a header block.
  void start(Kind kind, const HeadLimits& limits, bool tls);
  bool reading() const { return reading_; }

  // `lasting`: the views live for ever (HPACK's static table). After a refusal the rest is skipped.
  void add(std::string_view name, std::string_view value, bool lasting_name, bool lasting_value);

  // The section is whole; kNone, or why it is refused.
  Reject finish();
  void abandon();
  // So far beyond the limit that the rest is not worth reading: a few bytes of HPACK can stand for
  // any number of headers.
  bool is_hopeless() const { return bytes_ > 2 * limits_.max_head_bytes; }

  bool is_head() const { return head_ && head_->method() == "HEAD"; }
  HeadPtr take() { return std::move(head_); }
  std::optional<std::uint64_t> content_length() const { return content_length_; }
  bool expects_continue() const { return expects_continue_; }

 private:
  void add_pseudo(std::string_view name, std::string_view value);
  void note_request(std::string_view name, std::string_view value, bool* keep);
  void finish_upgrade();
  bool finish_authority();
  bool has_good_target() const;
  void join_cookies();
  void refuse(Reject reject) {
    if (reject_ == Reject::kNone) reject_ = reject;
  }

  HeadPtr head_;
  HeadLimits limits_;
  Kind kind_ = Kind::kRequest;
  Reject reject_ = Reject::kNone;
  bool reading_ = false;
  bool tls_ = false;
  bool expects_continue_ = false;
  std::size_t bytes_ = 0;
  std::size_t count_ = 0;
  std::size_t cookies_ = 0;
  std::optional<std::uint64_t> content_length_;
  std::string_view host_;
  std::string_view protocol_;  // of an extended CONNECT
};

}  // namespace heddle::http
