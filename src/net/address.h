// Socket addresses and their text forms: "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses),
// "name:8080".
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::net {

// A host, without the brackets of an IPv6 address, and a port. An empty host means all addresses.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
Result<HostPort> parse_host_port(std::string_view text);

// Whether two addresses to listen on stand for a common one: the same, or one has all addresses of
// the other's kind (":80", "0.0.0.0:80", "[::]:80"). Names must be resolved before.
bool overlap(std::string_view one, std::string_view other);

// An IPv4 or IPv6 address with its port.
class SocketAddress {
 public:
  SocketAddress() = default;
  SocketAddress(const sockaddr* address, socklen_t size);

  // From a numeric host; nothing for a name.
  static std::optional<SocketAddress> numeric(const std::string& host, std::uint16_t port);

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  int family() const { return storage_.ss_family; }
  std::uint16_t port() const;
  void set_port(std::uint16_t port);
  std::string ip() const;         // IPv4-mapped addresses as plain IPv4
  std::string to_string() const;  // "127.0.0.1:80", "[::1]:80"

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

}  // namespace heddle::net
