// Settings of HTTP/2 connections, and what they limit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle::http {

struct Http2Limits {
  bool enabled = true;  // servers: prior knowledge, and ALPN
  bool only = false;    // servers: nothing else is spoken on plain connections
  std::uint32_t max_concurrent_streams = 100;  // that the peer may open
  std::uint32_t stream_window = std::uint32_t{256} * 1024;
  std::uint32_t connection_window = std::uint32_t{1024} * 1024;
  std::uint32_t max_frame_size = std::uint32_t{16} * 1024;
  // Streams that the peer resets, or makes this side reset, and frames that carry no message;
  // bursts may be five times as large. 0: no limit.
  std::uint32_t max_resets_per_second = 100;
  std::uint32_t max_control_frames_per_second = 500;
};

// What a connection ran into, for counters.
enum class Http2Limit : std::uint8_t {
  kConcurrentStreams,
  kResets,
  kControlFrames,
  kContinuations,
  kOutboundAcks,
  kCount,
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(Http2Limit::kCount)>
    kHttp2LimitNames = {"h2_concurrent_streams", "h2_resets", "h2_control_frames",
                        "h2_continuations", "h2_outbound_acks"};

}  // namespace heddle::http
