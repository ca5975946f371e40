#include "http/h1_body.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "http/h1_scan.h"
#include "http/h1_tables.h"

namespace heddle::http {
namespace {

constexpr std::uint8_t kMaxSizeDigits = 15;  // 60 bits

}  // namespace

void H1BodyDecoder::start(const Framing& framing) {
  kind_ = framing.kind;
  left_ = framing.length;
  state_ = kind_ == BodyKind::kChunked ? State::kSize : State::kData;
  reject_ = Reject::kNone;
  digits_ = 0;
  extension_bytes_ = 0;
  trailer_line_ = 0;
  trailer_bytes_.clear();
  trailers_.reset();
  if (kind_ == BodyKind::kChunked) left_ = 0;
}

H1BodyDecoder::Step H1BodyDecoder::next(char* data, std::size_t size) {
  switch (kind_) {
    case BodyKind::kNone:
      return {Status::kDone, 0, nullptr, 0};
    case BodyKind::kUntilClose:
      return {Status::kMore, size, data, size};
    case BodyKind::kChunked:
      return next_chunked(data, size);
    case BodyKind::kLength:
      break;
  }
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(size, left_));
  left_ -= count;
  return {left_ == 0 ? Status::kDone : Status::kMore, count, data, count};
}

H1BodyDecoder::Step H1BodyDecoder::next_chunked(char* data, std::size_t size) {
  Step step;
  while (step.consumed < size && state_ != State::kDone) {
    if (state_ == State::kData) {
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(size - step.consumed, left_));
      step.data = data + step.consumed;
      step.size = count;
      step.consumed += count;
      left_ -= count;
      if (left_ == 0) state_ = State::kDataCr;
      return step;
    }
    const char c = data[step.consumed++];
    const bool good = state_ == State::kTrailers ? trailer(c) : size_line(c);
    if (!good) {
      step.status = Status::kReject;
      return step;
    }
  }
  if (state_ == State::kDone) step.status = Status::kDone;
  return step;
}

// Everything around the data but the trailers.
bool H1BodyDecoder::size_line(char c) {
  switch (state_) {
    case State::kSize: {
      const signed char digit = kHexTable[static_cast<unsigned char>(c)];
      if (digit >= 0) {
        if (++digits_ > kMaxSizeDigits) return refuse(Reject::kInvalidChunkSize);
        left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
        return true;
      }
      if (digits_ == 0) return refuse(Reject::kInvalidChunkSize);
      if (c == '\r') {
        state_ = State::kSizeLf;
        return true;
      }
      if (c != ';') return refuse(Reject::kInvalidChunkSize);
      state_ = State::kExtension;
      return true;
    }
    case State::kExtension:
      if (c == '\r') {
        state_ = State::kSizeLf;
        return true;
      }
      if (!is_value_char(c)) return refuse(Reject::kInvalidChunkSize);
      if (++extension_bytes_ > kMaxExtensionBytes) return refuse(Reject::kChunkExtensionTooLong);
      return true;
    case State::kSizeLf:
      if (c != '\n') return refuse(Reject::kInvalidChunkSize);
      state_ = left_ == 0 ? State::kTrailers : State::kData;
      digits_ = 0;
      return true;
    case State::kDataCr:
      if (c != '\r') return refuse(Reject::kInvalidChunkEnd);
      state_ = State::kDataLf;
      return true;
    case State::kDataLf:
      if (c != '\n') return refuse(Reject::kInvalidChunkEnd);
      state_ = State::kSize;
      return true;
    case State::kData:
    case State::kTrailers:
    case State::kDone:
      break;
  }
  return true;
}

bool H1BodyDecoder::trailer(char c) {
  if (trailer_bytes_.size() >= kMaxTrailerBytes) return refuse(Reject::kTrailersTooLarge);
  trailer_bytes_.push_back(c);
  if (c != '\n') {
    ++trailer_line_;
    return true;
  }
  // The section ends at the first empty line; the parser says whether its lines end as they must.
  const bool empty = trailer_line_ == 0 ||
                     (trailer_line_ == 1 && trailer_bytes_[trailer_bytes_.size() - 2] == '\r');
  trailer_line_ = 0;
  if (!empty) return true;
  if (trailer_bytes_ != "\r\n") parse_trailers();
  state_ = State::kDone;
  return reject_ == Reject::kNone;
}

void H1BodyDecoder::parse_trailers() {
  HeadPtr head = make_head();
  char* const bytes = head->arena.allocate(trailer_bytes_.size());
  std::memcpy(bytes, trailer_bytes_.data(), trailer_bytes_.size());
  H1Parser parser(H1Parser::Kind::kTrailers);
  const HeadLimits limits{.max_head_bytes = kMaxTrailerBytes + 1, .max_headers = kMaxTrailers};
  if (parser.parse(bytes, trailer_bytes_.size(), limits, *head) != H1Parser::Verdict::kComplete) {
    refuse(parser.reject() == Reject::kNone ? Reject::kInvalidName : parser.reject());
    return;
  }
  remove_forbidden_trailers(head->headers);
  if (!head->headers.empty()) trailers_ = std::move(head);
}

}  // namespace heddle::http
