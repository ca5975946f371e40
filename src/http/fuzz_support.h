// For the fuzzers of this folder that play the peer of a connection: their input, and blocking
// calls on a socket that outlast libFuzzer's alarm signals.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "net/socket.h"

namespace heddle::http::fuzzing {

inline constexpr int kPatience = 5000;  // ms; longer is a hang

inline void require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// What a fuzzer is given: the first byte says in pieces of how many bytes the others are sent, 0
// that they go at once.
struct Input {
  Input(const std::uint8_t* data, std::size_t size)
      : bytes(reinterpret_cast<const char*>(data) + 1, size - 1),
        piece(data[0] == 0 ? bytes.size() : data[0]) {}
  std::string_view bytes;
  std::size_t piece;
};

// For what holds a worker's thread. As long as the process: OpenSSL ends before statics do, and a
// thread that ends behind it leaks.
template <typename T>
T& endless() {
  return *std::make_unique<T>().release();
}

inline bool wait_for(const net::Fd& fd, short events) {
  pollfd ready{.fd = fd.get(), .events = events, .revents = 0};
  int got = -1;
  while ((got = ::poll(&ready, 1, kPatience)) < 0 && errno == EINTR) {
  }
  return got == 1;
}

// False: the other side has closed.
inline bool send_in_pieces(const net::Fd& fd, std::string_view bytes, std::size_t piece) {
  while (!bytes.empty()) {
    const ssize_t sent =
        ::send(fd.get(), bytes.data(), std::min(piece, bytes.size()), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// Nothing more is said; the other side has to end the connection.
inline void finish(const net::Fd& fd) {
  ::shutdown(fd.get(), SHUT_WR);
  for (;;) {
    require(wait_for(fd, POLLIN), "the connection ends");
    char buffer[65536];
    const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

}  // namespace heddle::http::fuzzing
