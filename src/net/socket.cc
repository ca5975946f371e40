#include "net/socket.h"

#include <linux/filter.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace heddle::net {
namespace {

Result<SocketAddress> bind_address(const std::string& text) {
  auto parsed = parse_host_port(text);
  if (!parsed) return std::unexpected(std::move(parsed).error());
  if (parsed->host.empty()) {
    const Fd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return *SocketAddress::numeric(probe ? "::" : "0.0.0.0", parsed->port);
  }
  if (auto numeric = SocketAddress::numeric(parsed->host, parsed->port)) return *numeric;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(parsed->host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return fail(ErrorKind::kInvalidArgument,
                "address " + text + ": the name cannot be resolved: " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  SocketAddress address(found->ai_addr, found->ai_addrlen);
  address.set_port(parsed->port);
  return address;
}

void set_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

std::unexpected<Error> bind_error(const std::string& address, int error) {
  if (error == EADDRINUSE) {
    return fail(
        ErrorKind::kConflict,
        "address " + address + " is in use by another process; stop it or choose another address");
  }
  const ErrorKind kind = error == EACCES ? ErrorKind::kPermission : ErrorKind::kIo;
  return fail(kind, "address " + address + " cannot be bound: " + std::strerror(error));
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Fd> bind_socket(const std::string& address, Sharing sharing) {
  auto target = bind_address(address);
  if (!target) return std::unexpected(std::move(target).error());
  Fd fd(::socket(target->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return bind_error(address, errno);
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (sharing == Sharing::kShared) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (target->family() == AF_INET6)
    set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, address.starts_with(':') ? 0 : 1);
  if (::bind(fd.get(), target->data(), target->size()) != 0) return bind_error(address, errno);
  return fd;
}

Result<Fd> listen_socket(const std::string& address) {
  auto fd = bind_socket(address, Sharing::kShared);
  if (!fd) return fd;
  if (::listen(fd->get(), SOMAXCONN) != 0) return bind_error(address, errno);
  return fd;
}

SocketAddress local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return {reinterpret_cast<const sockaddr*>(&storage), size};
}

SocketAddress remote_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return {reinterpret_cast<const sockaddr*>(&storage), size};
}

void set_nodelay(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int unacknowledged(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

// Without the filter (a kernel that has none) the socket is as it was.
void drop_new_handshakes(int fd) {
  constexpr std::uint32_t kFlags = 13;  // of the TCP header, where the kernel runs the filter
  constexpr std::uint32_t kSyn = 0x02;
  constexpr std::uint32_t kSynOrAck = 0x12;
  constexpr std::uint32_t kWhole = 0xffffffff;
  std::array<sock_filter, 5> code{{{BPF_LD | BPF_B | BPF_ABS, 0, 0, kFlags},
                                   {BPF_ALU | BPF_AND | BPF_K, 0, 0, kSynOrAck},
                                   {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, kSyn},
                                   {BPF_RET | BPF_K, 0, 0, 0},
                                   {BPF_RET | BPF_K, 0, 0, kWhole}}};
  const sock_fprog program{code.size(), code.data()};
  setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

}  // namespace heddle::net
