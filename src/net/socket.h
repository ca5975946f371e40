// Listening sockets and options of connected ones. Sockets are non-blocking and closed on exec.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"
#include "net/address.h"

namespace heddle::net {

// An open file descriptor; closes it.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// kShared sets SO_REUSEPORT, so that every worker has a listener of its own; kExclusive finds a
// port that is in use.
enum class Sharing : std::uint8_t { kShared, kExclusive };

// Binds "127.0.0.1:8080", "[::1]:8080", ":8080" or "name:8080" (a name blocks on resolution:
// control thread only).
Result<Fd> bind_socket(const std::string& address, Sharing sharing);
Result<Fd> listen_socket(const std::string& address);  // bound kShared and listening

SocketAddress local_address(int fd);
SocketAddress remote_address(int fd);
void set_nodelay(int fd);
// Bytes that were sent and that the peer's kernel has not acknowledged; 0 when that is unknown.
int unacknowledged(int fd);
// A listening socket of TCP takes no new handshake from here on: the kernel drops the client's SYN,
// which the client repeats after a second. Handshakes under way go on.
void drop_new_handshakes(int fd);

}  // namespace heddle::net
