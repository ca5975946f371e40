#include "http/websocket_frames.h"

#include <utility>

#include "base/utf8.h"

namespace heddle::http {
namespace {

constexpr std::uint16_t kBrokenRule = 1002;
constexpr std::uint16_t kNotUtf8 = 1007;
constexpr std::uint16_t kTooLarge = 1009;

constexpr std::size_t kMaxControl = 125;
constexpr std::size_t kMaskBytes = 4;

bool is_control(std::uint8_t opcode) {
  return (opcode & 0x8U) != 0;
}

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t out = 0;
  for (const char byte : bytes) out = out << 8U | static_cast<unsigned char>(byte);
  return out;
}

}  // namespace

void WebSocketReader::add(std::string_view bytes) {
  input_.erase(0, std::exchange(taken_, 0));
  input_ += bytes;
}

std::expected<std::optional<WebSocketReader::Frame>, std::uint16_t> WebSocketReader::next_frame() {
  const std::string_view input = std::string_view(input_).substr(taken_);
  if (input.size() < 2) return std::nullopt;
  const auto first = static_cast<unsigned char>(input[0]);
  const auto second = static_cast<unsigned char>(input[1]);
  const auto opcode = static_cast<std::uint8_t>(first & 0x0FU);
  // No extension was agreed on, and what a client sends is masked.
  if ((first & 0x70U) != 0 || (second & 0x80U) == 0) return std::unexpected(kBrokenRule);
  std::uint64_t size = second & 0x7FU;
  if (is_control(opcode) && (size > kMaxControl || (first & 0x80U) == 0)) {
    return std::unexpected(kBrokenRule);
  }
  std::size_t head = 2;
  if (size >= 126) {
    const std::size_t width = size == 126 ? 2 : 8;
    if (input.size() < head + width) return std::nullopt;
    size = big_endian(input.substr(head, width));
    head += width;
  }
  if (size > max_message_) return std::unexpected(kTooLarge);
  if (input.size() < head + kMaskBytes + size) return std::nullopt;
  Frame out{.last = (first & 0x80U) != 0, .opcode = opcode, .payload = {}};
  out.payload = std::string(input.substr(head + kMaskBytes, size));
  for (std::size_t i = 0; i < out.payload.size(); ++i) {
    out.payload[i] = static_cast<char>(out.payload[i] ^ input[head + i % kMaskBytes]);
  }
  taken_ += head + kMaskBytes + size;
  return out;
}

std::expected<std::optional<WebSocketMessage>, std::uint16_t> WebSocketReader::next() {
  for (;;) {
    auto frame = next_frame();
    if (!frame) return std::unexpected(frame.error());
    if (!*frame) return std::nullopt;
    Frame& got = **frame;
    if (is_control(got.opcode)) {
      if (got.opcode > 10) return std::unexpected(kBrokenRule);
      return WebSocketMessage{static_cast<WebSocketKind>(got.opcode), std::move(got.payload)};
    }
    const bool continues = got.opcode == 0;
    if (got.opcode > 2 || continues != begun_.has_value()) return std::unexpected(kBrokenRule);
    if (!continues) begun_.emplace(static_cast<WebSocketKind>(got.opcode), std::string());
    if (begun_->payload.size() + got.payload.size() > max_message_) {
      return std::unexpected(kTooLarge);
    }
    begun_->payload += got.payload;
    if (!got.last) continue;
    WebSocketMessage out = std::move(*begun_);
    begun_.reset();
    if (out.kind == WebSocketKind::kText && !is_utf8(out.payload)) {
      return std::unexpected(kNotUtf8);
    }
    return out;
  }
}

std::string websocket_frame(WebSocketKind kind, std::string_view payload) {
  std::string out;
  out += static_cast<char>(0x80U | static_cast<unsigned>(kind));
  const auto number = [&](std::uint64_t value, int bytes) {
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
      out += static_cast<char>(value >> static_cast<unsigned>(shift) & 0xFFU);
    }
  };
  if (payload.size() < 126) {
    number(payload.size(), 1);
  } else if (payload.size() <= 0xFFFF) {
    out += static_cast<char>(126);
    number(payload.size(), 2);
  } else {
    out += static_cast<char>(127);
    number(payload.size(), 8);
  }
  out += payload;
  return out;
}

std::string websocket_close(std::uint16_t code, std::string_view reason) {
  std::string payload;
  payload += static_cast<char>(code >> 8U);
  payload += static_cast<char>(code & 0xFFU);
  payload += reason.substr(0, kMaxControl - 2);
  return websocket_frame(WebSocketKind::kClose, payload);
}

}  // namespace heddle::http
