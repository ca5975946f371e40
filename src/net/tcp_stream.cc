#include "net/tcp_stream.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "net/poller.h"
#include "net/worker.h"

namespace heddle::net {

struct TcpStream::Impl final : Poller::Target {
  Impl(Worker& worker_in, Observer& observer_in) : worker(worker_in), observer(&observer_in) {}
  ~Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void on_events(std::uint32_t events) override;
  void finish_connect();
  void try_read();

  Worker& worker;
  Observer* observer;  // null: destroyed
  Fd fd;
  unsigned generation = 0;    // grows with every close: what was begun before is not news any more
  char* read_data = nullptr;  // null: no read is under way
  std::size_t read_size = 0;
  bool readable = false;  // the last edge was not used up
  bool hung_up =
      false;  // an end or error follows what is left to read: a short read did not empty the socket
  bool write_blocked = false;
  bool waiting = false;  // for writability
  bool connecting = false;
};

void TcpStream::Impl::on_events(std::uint32_t events) {
  const unsigned before = generation;
  constexpr std::uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  if ((events & kEnd) != 0) hung_up = true;
  if ((events & (EPOLLIN | kEnd)) != 0) readable = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
    write_blocked = false;
    if (connecting) finish_connect();
    if (generation != before) return;
  }
  if (waiting && !write_blocked) {
    waiting = false;
    observer->on_write_ready();
    if (generation != before) return;
  }
  if (read_data != nullptr && readable) try_read();
}

void TcpStream::Impl::finish_connect() {
  connecting = false;
  int code = 0;
  socklen_t size = sizeof code;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
  observer->on_connect(code);
}

void TcpStream::Impl::try_read() {
  for (;;) {
    // The raw call: the C library's is a cancellation point, which costs in a process with threads.
    const ssize_t got =
        ::syscall(SYS_recvfrom, fd.get(), read_data, read_size, MSG_DONTWAIT, nullptr, nullptr);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      readable = false;
      return;
    }
    read_data = nullptr;
    if (got > 0) {
      readable = static_cast<std::size_t>(got) == read_size || hung_up;
      observer->on_read(static_cast<std::size_t>(got));
    } else {
      observer->on_read_end(got == 0 ? 0 : errno);
    }
    return;
  }
}

TcpStream::TcpStream(Worker& worker, Observer& observer)
    : impl_(std::make_shared<Impl>(worker, observer)) {}

TcpStream::~TcpStream() {
  close();
  impl_->observer = nullptr;
  Worker& worker = impl_->worker;
  worker.defer([last = std::move(impl_)] {});  // its own call may be on the stack
}

void TcpStream::adopt(Fd fd) {
  impl_->fd = std::move(fd);
  if (!impl_->worker.poller().add(impl_->fd.get(), *impl_)) close();
}

void TcpStream::connect(const SocketAddress& address) {
  close();
  Impl& impl = *impl_;
  impl.fd = Fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int result = impl.fd ? 0 : errno;
  if (impl.fd) {
    set_nodelay(impl.fd.get());
    if (::connect(impl.fd.get(), address.data(), address.size()) != 0) result = errno;
    // Only now: a socket that is not connecting yet would report a hang-up.
    if (!impl.worker.poller().add(impl.fd.get(), impl)) result = errno;
  }
  if (result == EINPROGRESS) {
    impl.connecting = true;
    return;
  }
  impl.worker.post([weak = std::weak_ptr(impl_), generation = impl.generation, result] {
    const auto still = weak.lock();
    if (still && still->observer != nullptr && still->generation == generation)
      still->observer->on_connect(result);
  });
}

int TcpStream::fd() const {
  return impl_->fd.get();
}
bool TcpStream::reading() const {
  return impl_->read_data != nullptr;
}

void TcpStream::read(char* data, std::size_t size) {
  Impl& impl = *impl_;
  if (!impl.fd || impl.read_data != nullptr) return;
  impl.read_data = data;
  impl.read_size = size;
  if (impl.readable) impl.worker.poller().request_call(impl);
}

ssize_t TcpStream::send(std::span<const iovec> parts) {
  Impl& impl = *impl_;
  if (!impl.fd) return -EPIPE;
  std::size_t wanted = 0;
  for (const iovec& part : parts) wanted += part.iov_len;
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());  // NOLINT: sendmsg does not write to it
  message.msg_iovlen = parts.size();
  for (;;) {
    const ssize_t sent =
        ::syscall(SYS_sendmsg, impl.fd.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    const int error = errno;
    impl.write_blocked = sent < 0 ? error == EAGAIN : static_cast<std::size_t>(sent) < wanted;
    return sent < 0 ? -error : sent;
  }
}

void TcpStream::wait_writable() {
  Impl& impl = *impl_;
  if (!impl.fd) return;
  impl.waiting = true;
  if (!impl.write_blocked) impl.worker.poller().request_call(impl);
}

bool TcpStream::is_stale() const {
  if (!impl_->fd) return true;
  char byte = 0;
  const ssize_t got = ::recv(impl_->fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

void TcpStream::shutdown_send() {
  if (impl_->fd) ::shutdown(impl_->fd.get(), SHUT_WR);
}

void TcpStream::close() {
  Impl& impl = *impl_;
  ++impl.generation;
  impl.read_data = nullptr;
  impl.readable = impl.hung_up = impl.write_blocked = impl.waiting = impl.connecting = false;
  if (!impl.fd) return;
  impl.worker.poller().forget(impl);
  impl.fd = Fd();
}

void TcpStream::abort() {
  if (!impl_->fd) return;
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(impl_->fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close();
}

}  // namespace heddle::net
