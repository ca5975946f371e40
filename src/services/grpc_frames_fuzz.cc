// Any bytes in any pieces: the reader gives the same messages as for the whole, never more than
// came, none above its limit.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "services/grpc_frames.h"
#include "services/grpc_status.h"

namespace {

using heddle::services::GrpcReader;

constexpr std::size_t kLimit = 4096;

struct Outcome {
  std::vector<std::string> messages;
  GrpcReader::State state = GrpcReader::State::kMore;
  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view bytes, std::size_t piece) {
  Outcome out;
  GrpcReader reader(kLimit);
  while (!bytes.empty() && out.state == GrpcReader::State::kMore) {
    heddle::http::Buffer buffer;
    buffer.append(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    reader.feed(std::move(buffer));
    heddle::http::Buffer message;
    while ((out.state = reader.next(message)) == GrpcReader::State::kMessage) {
      if (message.size() > kLimit) std::abort();
      out.messages.push_back(message.to_string());
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = read(bytes, bytes.size() + 1);
  if (read(bytes, 1) != whole || read(bytes, 7) != whole) std::abort();
  std::string again;
  for (const std::string& message : whole.messages) {
    heddle::http::Buffer buffer;
    heddle::services::append_grpc_message(buffer, message);
    again += buffer.to_string();
  }
  if (!bytes.starts_with(again)) std::abort();
  if (heddle::services::percent_decode(bytes).size() > size) std::abort();
  return 0;
}
