// gRPC messages in the body of an HTTP/2 stream: a byte that says whether the message is
// compressed, its length as 4 bytes big-endian, its bytes (grpc/doc/PROTOCOL-HTTP2.md,
// "Length-Prefixed-Message").
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "http/buffer.h"

namespace heddle::services {

inline constexpr std::size_t kGrpcPrefixSize = 5;

// Appends one uncompressed message.
void append_grpc_message(http::Buffer& out, std::string_view message);

// Cuts a body into messages. Holds at most one message of `max_bytes` and what came with it.
class GrpcReader {
 public:
  enum class State {
    kMessage,     // `out` is the next message
    kMore,        // the next one is not here yet
    kCompressed,  // refused: no compression was offered
    kTooLarge,    // refused: above max_bytes
  };

  explicit GrpcReader(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  void feed(http::Buffer&& bytes) { held_.append(std::move(bytes)); }
  // After kCompressed or kTooLarge nothing more can be read.
  State next(http::Buffer& out);
  // A part of a message is left over.
  bool incomplete() const { return !held_.empty(); }

 private:
  std::size_t max_bytes_;
  http::Buffer held_;
};

}  // namespace heddle::services
