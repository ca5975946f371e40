// The frames of WebSocket (RFC 6455 section 5), as a server reads and writes them. Pure; one thread
// at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::http {

enum class WebSocketKind : std::uint8_t {
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

struct WebSocketMessage {
  WebSocketKind kind = WebSocketKind::kText;
  std::string payload;  // of kClose: the code as two bytes, and the reason; may be empty
};

// Puts messages together from what a client sends: masked frames, whole or in fragments.
class WebSocketReader {
 public:
  explicit WebSocketReader(std::size_t max_message) : max_message_(max_message) {}

  void add(std::string_view bytes);
  // The next message, or nothing when it is not complete yet. An error is the code to close with:
  // 1002 a broken rule, 1007 text that is not UTF-8, 1009 too large; nothing can be read after it.
  std::expected<std::optional<WebSocketMessage>, std::uint16_t> next();

 private:
  struct Frame {
    bool last = false;
    std::uint8_t opcode = 0;
    std::string payload;
  };
  std::expected<std::optional<Frame>, std::uint16_t> next_frame();

  const std::size_t max_message_;
  std::string input_;
  std::size_t taken_ = 0;                  // of it
  std::optional<WebSocketMessage> begun_;  // a message whose last fragment is still to come
};

// A whole message in one unmasked frame.
std::string websocket_frame(WebSocketKind kind, std::string_view payload);
std::string websocket_close(std::uint16_t code, std::string_view reason);

}  // namespace heddle::http
