// Body decoding: every case whole, byte by byte, and split in two at every position.
#include "http/h1_body.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace heddle::http {
namespace {

using namespace std::string_literals;
using Status = H1BodyDecoder::Status;

struct Outcome {
  Status status = Status::kMore;
  std::string data;
  std::size_t consumed = 0;
  std::string trailers;
  std::string reject;
  bool operator==(const Outcome&) const = default;
};

// Decodes the pieces of `bytes` that the cut positions make.
Outcome decode(const Framing& framing, std::string bytes, std::vector<std::size_t> cuts) {
  H1BodyDecoder decoder;
  decoder.start(framing);
  Outcome out;
  cuts.push_back(bytes.size());
  for (const std::size_t cut : cuts) {
    while (out.consumed < cut && out.status == Status::kMore) {
      const auto step = decoder.next(bytes.data() + out.consumed, cut - out.consumed);
      out.status = step.status;
      out.consumed += step.consumed;
      out.data.append(step.data == nullptr ? "" : step.data, step.size);
    }
  }
  out.reject = info(decoder.reject()).name;
  if (const HeadPtr trailers = decoder.take_trailers()) {
    for (const auto& entry : trailers->headers) {
      out.trailers += std::string(entry.name) + "=" + std::string(entry.value) + "|";
    }
  }
  return out;
}

Outcome decode_checked(const Framing& framing, const std::string& bytes) {
  const Outcome whole = decode(framing, bytes, {});
  std::vector<std::size_t> all;
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    EXPECT_EQ(decode(framing, bytes, {cut}), whole) << cut << " of " << bytes;
    all.push_back(cut);
  }
  EXPECT_EQ(decode(framing, bytes, all), whole) << bytes;
  return whole;
}

constexpr Framing kChunked{BodyKind::kChunked, 0};

TEST(H1Body, ContentLength) {
  const Outcome outcome = decode_checked({BodyKind::kLength, 5}, "hello, next");
  EXPECT_EQ(outcome.data, "hello");
  EXPECT_EQ(outcome.consumed, 5U);
  EXPECT_EQ(outcome.status, Status::kDone);
  EXPECT_EQ(decode_checked({BodyKind::kLength, 6}, "hello").status, Status::kMore);
}

TEST(H1Body, UntilClose) {
  EXPECT_EQ(decode_checked({BodyKind::kUntilClose, 0}, "hello").data, "hello");
  EXPECT_EQ(decode_checked({BodyKind::kUntilClose, 0}, "hello").status, Status::kMore);
}

TEST(H1Body, Chunked) {
  const Outcome outcome =
      decode_checked(kChunked, "5\r\nhello\r\n00A\r\n, chunked!\r\n0\r\n\r\nGET /");
  EXPECT_EQ(outcome.status, Status::kDone);
  EXPECT_EQ(outcome.data, "hello, chunked!");
  EXPECT_EQ(outcome.consumed, 32U);
  EXPECT_EQ(outcome.trailers, "");
  EXPECT_EQ(decode_checked(kChunked, "1;a=b;c=\"d e\"\r\nx\r\n0;z\r\n\r\n").data, "x");
}

TEST(H1Body, TrailersAreParsedAndFramingFieldsDropped) {
  const Outcome outcome = decode_checked(
      kChunked,
      "1\r\nx\r\n0\r\nGrpc-Status: 0\r\nContent-Length: 5\r\nHost: b\r\nX-Sum:  abc \r\n\r\nrest");
  EXPECT_EQ(outcome.status, Status::kDone);
  EXPECT_EQ(outcome.trailers, "grpc-status=0|x-sum=abc|");
  EXPECT_EQ(decode_checked(kChunked, "0\r\nTransfer-Encoding: chunked\r\n\r\n").trailers, "");
}

TEST(H1Body, RefusedChunks) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\r\n", "invalid_chunk_size"},
      {"x\r\n", "invalid_chunk_size"},
      {"-1\r\n", "invalid_chunk_size"},
      {"+1\r\n", "invalid_chunk_size"},
      {"0x1\r\nx\r\n", "invalid_chunk_size"},
      {" 1\r\nx\r\n", "invalid_chunk_size"},
      {"1 \r\nx\r\n", "invalid_chunk_size"},
      {"1\nx\r\n", "invalid_chunk_size"},
      {"1\rx\r\n", "invalid_chunk_size"},
      {"1;a\nx\r\n", "invalid_chunk_size"},
      {"1;a\rb\r\nx\r\n", "invalid_chunk_size"},
      {"1;a\0b\r\nx\r\n"s, "invalid_chunk_size"},
      {"fffffffffffffffff\r\n", "invalid_chunk_size"},
      {"10000000000000000\r\n", "invalid_chunk_size"},
      {"1\r\nxy\r\n", "invalid_chunk_end"},
      {"1\r\nx\n0\r\n\r\n", "invalid_chunk_end"},
      {"1\r\nx\r0\r\n\r\n", "invalid_chunk_end"},
      {"1;" + std::string(5000, 'a') + "\r\nx\r\n", "chunk_extension"},
      {"0\r\nX: y\n\r\n", "bare_lf"},
      {"0\r\nX: y\r\n\n", "bare_lf"},
      {"0\r\n\n", "bare_lf"},
      {"0\r\nX : y\r\n\r\n", "space_before_colon"},
      {"0\r\n X: y\r\n\r\n", "obs_fold"},
      {"0\r\n:path: y\r\n\r\n", "empty_name"},
      {"0\r\nX: " + std::string(17000, 'a'), "trailer_bytes"},
  };
  for (const auto& [bytes, reason] : cases) {
    const bool huge = bytes.size() > 1000;
    const Outcome outcome = huge ? decode(kChunked, bytes, {}) : decode_checked(kChunked, bytes);
    EXPECT_EQ(outcome.status, Status::kReject) << bytes;
    EXPECT_EQ(outcome.reject, reason) << bytes;
  }
}

}  // namespace
}  // namespace heddle::http
