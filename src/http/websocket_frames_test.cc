#include "http/websocket_frames.h"

#include <gtest/gtest.h>

#include <vector>

namespace heddle::http {
namespace {

// A frame as a client sends it: `first` is FIN, reserved bits and opcode.
std::string masked(unsigned first, const std::string& payload) {
  std::string out(1, static_cast<char>(first));
  if (payload.size() < 126) {
    out += static_cast<char>(0x80U | payload.size());
  } else {
    out += static_cast<char>(0x80U | 126U);
    out += static_cast<char>(payload.size() >> 8U);
    out += static_cast<char>(payload.size() & 0xFFU);
  }
  const std::string mask = "\x01\x02\x03\x04";
  out += mask;
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out += static_cast<char>(payload[i] ^ mask[i % 4]);
  }
  return out;
}

// What is read when the bytes come one by one: payloads, and an error as its number.
std::vector<std::string> read(const std::string& bytes, std::size_t max = 1'000) {
  WebSocketReader reader(max);
  std::vector<std::string> out;
  for (const char byte : bytes) {
    reader.add({&byte, 1});
    for (;;) {
      auto message = reader.next();
      if (!message) {
        out.push_back(std::to_string(message.error()));
        return out;
      }
      if (!*message) break;
      out.push_back((*message)->payload);
    }
  }
  return out;
}

using Read = std::vector<std::string>;

TEST(WebSocketFrames, MessagesInOneFrameAndInFragments) {
  EXPECT_EQ(read(masked(0x81, "hello")), Read{"hello"});
  EXPECT_EQ(read(masked(0x81, "")), Read{""});
  EXPECT_EQ(read(masked(0x82, std::string(300, 'x'))), Read{std::string(300, 'x')});
  EXPECT_EQ(read(masked(0x01, "a") + masked(0x00, "b") + masked(0x80, "c")), Read{"abc"});
  EXPECT_EQ(read(masked(0x01, "a") + masked(0x89, "ping") + masked(0x80, "b")),
            (Read{"ping", "ab"}));
}

TEST(WebSocketFrames, BrokenRules) {
  EXPECT_EQ(read("\x81\x01x"), Read{"1002"}) << "not masked";
  EXPECT_EQ(read(masked(0xC1, "x")), Read{"1002"}) << "a reserved bit";
  EXPECT_EQ(read(masked(0x83, "x")), Read{"1002"}) << "an unknown opcode";
  EXPECT_EQ(read(masked(0x8B, "x")), Read{"1002"}) << "an unknown control opcode";
  EXPECT_EQ(read(masked(0x80, "x")), Read{"1002"}) << "a continuation of nothing";
  EXPECT_EQ(read(masked(0x01, "a") + masked(0x81, "b")), Read{"1002"}) << "two at once";
  EXPECT_EQ(read(masked(0x09, "x")), Read{"1002"}) << "a control frame in fragments";
  EXPECT_EQ(read(masked(0x89, std::string(126, 'x'))), Read{"1002"}) << "a long control frame";
}

TEST(WebSocketFrames, TooLargeAndNotUtf8) {
  EXPECT_EQ(read(masked(0x81, std::string(11, 'x')), 10), Read{"1009"});
  EXPECT_EQ(read(masked(0x01, std::string(6, 'x')) + masked(0x80, std::string(6, 'x')), 10),
            Read{"1009"});
  EXPECT_EQ(read(masked(0x81, "\xFF")), Read{"1007"});
  EXPECT_EQ(read(masked(0x82, "\xFF")), Read{"\xFF"});
}

TEST(WebSocketFrames, WrittenLengths) {
  EXPECT_EQ(websocket_frame(WebSocketKind::kText, "hi"), "\x81\x02hi");
  EXPECT_EQ(websocket_frame(WebSocketKind::kBinary, std::string(126, 'x')).substr(0, 4),
            std::string("\x82\x7E\x00\x7E", 4));
  EXPECT_EQ(websocket_frame(WebSocketKind::kBinary, std::string(65'536, 'x')).substr(0, 10),
            std::string("\x82\x7F\0\0\0\0\0\1\0\0", 10));
  EXPECT_EQ(websocket_close(1001, "bye"), std::string("\x88\x05\x03\xE9", 4) + "bye");
}

}  // namespace
}  // namespace heddle::http
