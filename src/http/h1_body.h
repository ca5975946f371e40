// Decoding of message bodies (RFC 9112 sections 6 and 7): content-length, chunked with trailers,
// until close. Body bytes are pointed at where they were read, never copied. Chunk extensions are
// checked, limited and dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "http/h1_parser.h"
#include "http/h1_reject.h"
#include "http/message.h"

namespace heddle::http {

class H1BodyDecoder {
 public:
  static constexpr std::size_t kMaxExtensionBytes = 4096;  // of one body
  static constexpr std::size_t kMaxTrailerBytes = 16384;
  static constexpr std::size_t kMaxTrailers = 64;

  enum class Status : std::uint8_t { kMore, kDone, kReject };
  struct Step {
    Status status = Status::kMore;
    std::size_t consumed = 0;
    char* data = nullptr;  // body bytes within what was consumed
    std::size_t size = 0;
  };

  void start(const Framing& framing);
  // Consumes a part of data[0, size), at most one run of body bytes; called again until everything
  // is consumed or the status is not kMore.
  Step next(char* data, std::size_t size);
  // The peer finished sending: whether the body is complete by that.
  bool finish_at_close() const { return kind_ == BodyKind::kUntilClose; }

  Reject reject() const { return reject_; }
  BodyKind kind() const { return kind_; }
  std::uint64_t left() const { return left_; }  // of the content-length or the chunk under way
  HeadPtr take_trailers() { return std::move(trailers_); }  // null when there were none

 private:
  enum class State : std::uint8_t {
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailers,
    kDone
  };

  Step next_chunked(char* data, std::size_t size);
  bool size_line(char c);
  bool trailer(char c);  // false: refused
  void parse_trailers();
  bool refuse(Reject reject) {
    reject_ = reject;
    return false;
  }

  BodyKind kind_ = BodyKind::kNone;
  State state_ = State::kDone;
  Reject reject_ = Reject::kNone;
  std::uint8_t digits_ = 0;
  std::uint64_t left_ = 0;
  std::size_t extension_bytes_ = 0;
  std::size_t trailer_line_ = 0;  // bytes of the trailer line under way
  std::string trailer_bytes_;
  HeadPtr trailers_;
};

}  // namespace heddle::http
