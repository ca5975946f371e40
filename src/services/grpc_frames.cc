#include "services/grpc_frames.h"

#include <cstdint>

namespace heddle::services {

void append_grpc_message(http::Buffer& out, std::string_view message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  const std::array<char, kGrpcPrefixSize> prefix = {
      0, static_cast<char>(size >> 24U), static_cast<char>(size >> 16U),
      static_cast<char>(size >> 8U), static_cast<char>(size)};
  out.append(std::string_view(prefix.data(), prefix.size()));
  out.append(message);
}

GrpcReader::State GrpcReader::next(http::Buffer& out) {
  std::array<char, kGrpcPrefixSize> prefix{};
  if (held_.copy_to(0, prefix.size(), prefix.data()) < prefix.size()) return State::kMore;
  if (prefix[0] != 0) return State::kCompressed;
  std::size_t size = 0;
  for (std::size_t i = 1; i < prefix.size(); ++i) {
    size = size << 8U | static_cast<unsigned char>(prefix.at(i));
  }
  if (size > max_bytes_) return State::kTooLarge;
  if (held_.size() < kGrpcPrefixSize + size) return State::kMore;
  held_.drain(kGrpcPrefixSize);
  out = held_.split(size);
  return State::kMessage;
}

}  // namespace heddle::services
