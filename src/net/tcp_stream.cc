#include "net/tcp_stream.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "net/event_loop.h"
#include "net/timer_queue.h"
#include "net/tls_session.h"
#include "net/worker.h"

namespace heddle::net {
namespace {

constexpr std::uint32_t kStreamEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;

// Raw system calls: the C library's are cancellation points, which cost in a process with threads.

ssize_t receive_now(int fd, char* data, std::size_t size) {
  for (;;) {
    const ssize_t count = ::syscall(SYS_recvfrom, fd, data, size, MSG_DONTWAIT, nullptr, nullptr);
    if (count >= 0) return count;
    if (errno != EINTR) return -errno;
  }
}

ssize_t send_bytes(int fd, const void* data, std::size_t size) {
  for (;;) {
    const ssize_t sent = ::syscall(SYS_sendto, fd, data, size, kSendFlags, nullptr, 0);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

// `size`: of all parts. Few bytes, such as a head and a short body, are copied together: that costs
// less than the kernel's work for a vector.
ssize_t send_now(int fd, std::span<const iovec> parts, std::size_t size) {
  if (parts.size() == 1) return send_bytes(fd, parts[0].iov_base, size);
  std::array<char, 2048> joined;  // filled below
  if (size <= joined.size()) {
    char* next = joined.data();
    for (const iovec& part : parts) {
      std::memcpy(next, part.iov_base, part.iov_len);
      next += part.iov_len;
    }
    return send_bytes(fd, joined.data(), size);
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());  // sendmsg does not write to it
  message.msg_iovlen = parts.size();
  for (;;) {
    const ssize_t sent = ::syscall(SYS_sendmsg, fd, &message, kSendFlags);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace

struct TcpStream::Impl final : EventLoop::Watcher, TlsTransport {
  // Keeps the stream's memory while its observer is called, which may destroy the stream.
  class Hold {
   public:
    explicit Hold(Impl& impl) : impl_(impl) { ++impl_.references; }
    ~Hold() { impl_.unref(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Impl& impl_;
  };

  Impl(Worker& worker_in, Observer& observer_in) : worker(worker_in), observer(&observer_in) {}

  void on_events(std::uint32_t events) override;
  void on_ready() override;
  void unref() {
    if (--references == 0) delete this;  // NOLINT: shared with the Holds, counted above
  }
  void receive();
  void connected(int error);
  int watch(int descriptor);

  ssize_t pull(char* to, std::size_t count) override;
  ssize_t push(const char* from, std::size_t count) override;
  void start_tls(TlsSession::Contexts contexts);
  void shake_hands();
  void end_handshake();
  void receive_tls();
  bool flush_tls();
  void finish_tls();

  Worker& worker;
  Observer* observer;  // take_over() changes it
  int references = 1;
  int fd = -1;
  unsigned generation = 0;  // grows with every close
  char* data = nullptr;     // where a read puts its bytes
  std::size_t size = 0;
  bool reading = false;
  bool waiting = false;   // for writability
  bool full = false;      // the kernel took less than it was given, and no room came since
  bool readable = false;  // a read would find something
  bool ending = false;    // the peer finished or broke off: every read finds something
  bool connecting = false;
  int connect_result = -1;  // errno of an attempt that ended at once; -1: none
  struct Tls {
    Tls(TlsSession::Contexts contexts, TlsTransport& transport)
        : session(std::move(contexts), transport) {}
    TlsSession session;
    Timer handshake_timer;
    bool shutting_down = false;  // FIN follows what is sealed
  };
  std::unique_ptr<Tls> tls;  // null: plain
};

void TcpStream::Impl::on_events(std::uint32_t events) {
  const Hold hold(*this);
  const Worker::Scope scope(worker);
  constexpr std::uint32_t kBroken = EPOLLERR | EPOLLHUP;
  if (connecting) {
    if ((events & (EPOLLOUT | kBroken)) == 0) return;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    readable = (events & EPOLLIN) != 0;
    ending = (events & (EPOLLRDHUP | kBroken)) != 0;
    connected(error);
    return;
  }
  const unsigned before = generation;
  if ((events & (EPOLLIN | EPOLLRDHUP | kBroken)) != 0) {
    readable = true;
    if ((events & (EPOLLRDHUP | kBroken)) != 0) ending = true;
    if (tls != nullptr && tls->session.shaking_hands()) return shake_hands();
    if (reading) {
      receive();
    } else if ((events & EPOLLERR) != 0) {
      observer->on_broken();
    }
  }
  if (generation == before && (events & (EPOLLOUT | kBroken)) != 0) {
    full = false;
    if (tls != nullptr && !flush_tls()) return;
    if (std::exchange(waiting, false))
      observer->on_write_ready();  // an error shows in the next send
  }
}

void TcpStream::Impl::on_ready() {
  const Hold hold(*this);
  const Worker::Scope scope(worker);
  if (connect_result >= 0) {
    connected(std::exchange(connect_result, -1));
    return;
  }
  if (tls != nullptr && tls->session.shaking_hands()) return shake_hands();
  const unsigned before = generation;
  if (reading && readable) receive();
  if (generation == before && !full && std::exchange(waiting, false)) observer->on_write_ready();
}

void TcpStream::Impl::receive() {
  if (tls != nullptr) return receive_tls();
  const ssize_t count = receive_now(fd, data, size);
  if (count == -EAGAIN) {
    readable = false;
    return;
  }
  reading = false;
  if (count <= 0) {
    observer->on_read_end(static_cast<int>(-count));
    return;
  }
  // A short read emptied the socket; whatever comes from now on is an event. The end of the stream
  // that came together with these bytes is not, so that one is remembered.
  if (static_cast<std::size_t>(count) < size && !ending) readable = false;
  observer->on_read(static_cast<std::size_t>(count));
}

void TcpStream::Impl::connected(int error) {
  connecting = false;
  observer->on_connect(error);
}

int TcpStream::Impl::watch(int descriptor) {
  fd = descriptor;
  return worker.loop().add(fd, kStreamEvents, *this);
}

// ---- TLS ----

ssize_t TcpStream::Impl::pull(char* to, std::size_t count) {
  if (!readable) return -EAGAIN;
  const ssize_t got = receive_now(fd, to, count);
  if (got < 0) {
    if (got == -EAGAIN) readable = false;
    return got;
  }
  if (got > 0 && static_cast<std::size_t>(got) < count && !ending) readable = false;
  return got;
}

ssize_t TcpStream::Impl::push(const char* from, std::size_t count) {
  const ssize_t sent = send_bytes(fd, from, count);
  full = sent < 0 ? sent == -EAGAIN : static_cast<std::size_t>(sent) < count;
  return sent;
}

void TcpStream::Impl::start_tls(TlsSession::Contexts contexts) {
  tls = std::make_unique<Tls>(std::move(contexts), *this);
  tls->handshake_timer.arm(worker.timers(), tls->session.handshake_timeout(), [this] {
    tls->session.time_out();
    end_handshake();
  });
  readable = true;  // unknown: asking tells
  worker.loop().run_ready(*this);
}

void TcpStream::Impl::shake_hands() {
  if (tls->session.shake_hands() != TlsSession::Status::kWait) end_handshake();
}

void TcpStream::Impl::end_handshake() {
  const Hold hold(*this);
  tls->handshake_timer.cancel();
  const std::string error = tls->session.error();
  if (tls->session.has_more()) readable = true;  // the peer's first bytes came with its last ones
  observer->on_tls(error);
}

void TcpStream::Impl::receive_tls() {
  const TlsSession::Read got = tls->session.read(data, size);
  if (got.status == TlsSession::Status::kWait) return;
  reading = false;
  if (got.status != TlsSession::Status::kDone) {
    observer->on_read_end(got.error);
    return;
  }
  if (tls->session.has_more()) readable = true;  // though the socket may be empty
  observer->on_read(got.count);
}

// True when nothing sealed is left. A read that waited for room goes on.
bool TcpStream::Impl::flush_tls() {
  if (!tls->session.flush() && full) return false;
  if (tls->shutting_down) ::shutdown(fd, SHUT_WR);
  if (reading && readable) {
    const unsigned before = generation;
    receive();
    if (generation != before) return false;
  }
  return true;
}

void TcpStream::Impl::finish_tls() {
  tls->session.finish();
  tls->shutting_down = true;
  if (!full) ::shutdown(fd, SHUT_WR);
}

void TcpStream::start_tls_server(std::shared_ptr<const TlsServerContext> context) {
  if (impl_->fd >= 0) impl_->start_tls({.server = std::move(context)});
}

void TcpStream::start_tls_client(std::shared_ptr<const TlsClientContext> context,
                                 const std::string& server_name,
                                 std::span<const std::string_view> alpn) {
  if (impl_->fd < 0) return;
  impl_->start_tls({.client = std::move(context)});
  impl_->tls->session.set_server_name(server_name, remote_address(impl_->fd).to_string());
  if (!alpn.empty()) impl_->tls->session.offer(alpn);
}

std::shared_ptr<const TlsInfo> TcpStream::tls() const {
  return impl_->tls ? impl_->tls->session.info() : nullptr;
}

TlsFailure TcpStream::tls_failure() const {
  return impl_->tls ? impl_->tls->session.failure() : TlsFailure::kNone;
}

void TcpStream::stop_tls() {
  impl_->tls.reset();
}

// ---- The stream ----

TcpStream::TcpStream(Worker& worker, Observer& observer) : impl_(new Impl(worker, observer)) {}

TcpStream::~TcpStream() {
  close();
  impl_->unref();
}

void TcpStream::adopt(Fd fd) {
  if (impl_->watch(fd.release()) != 0) close();
}

void TcpStream::take_over(TcpStream& other) {
  std::swap(impl_, other.impl_);
  std::swap(impl_->observer, other.impl_->observer);
  other.close();
}

void TcpStream::connect(const SocketAddress& address) {
  close();
  Impl& impl = *impl_;
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int result = fd ? 0 : errno;
  if (fd) {
    set_nodelay(fd.get());
    if (::connect(fd.get(), address.data(), address.size()) != 0) result = errno;
  }
  if (result == 0 || result == EINPROGRESS) {
    // Only now: a socket that is neither connected nor connecting reports that it hung up.
    const int failure = impl.watch(fd.release());
    impl.connecting = result == EINPROGRESS && failure == 0;
    if (impl.connecting) return;
    if (failure != 0) result = failure;
  }
  impl.connect_result = result;
  impl.worker.loop().run_ready(impl);
}

int TcpStream::fd() const {
  return impl_->fd;
}
bool TcpStream::reading() const {
  return impl_->reading;
}

void TcpStream::read(char* data, std::size_t size) {
  Impl& impl = *impl_;
  if (impl.fd < 0 || impl.reading) return;
  impl.reading = true;
  impl.data = data;
  impl.size = size;
  if (impl.readable) impl.worker.loop().run_ready(impl);
}

ssize_t TcpStream::send(std::span<const iovec> parts) {
  Impl& impl = *impl_;
  if (impl.fd < 0) return -EPIPE;
  if (impl.tls != nullptr) return impl.tls->session.send(parts);
  std::size_t wanted = 0;
  for (const iovec& part : parts) wanted += part.iov_len;
  const ssize_t sent = send_now(impl.fd, parts, wanted);
  if (sent >= 0) impl.full = static_cast<std::size_t>(sent) < wanted;
  if (sent == -EAGAIN) impl.full = true;
  return sent;
}

void TcpStream::wait_writable() {
  Impl& impl = *impl_;
  if (impl.fd < 0) return;
  impl.waiting = true;
  if (!impl.full) impl.worker.loop().run_ready(impl);
}

bool TcpStream::is_stale() const {
  if (impl_->fd < 0) return true;
  if (impl_->tls != nullptr) {
    impl_->readable = true;
    return !impl_->tls->session.is_quiet();
  }
  char byte = 0;
  const ssize_t got = ::recv(impl_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

void TcpStream::shutdown_send() {
  if (impl_->fd < 0) return;
  if (impl_->tls != nullptr) return impl_->finish_tls();
  ::shutdown(impl_->fd, SHUT_WR);
}

void TcpStream::close() {
  Impl& impl = *impl_;
  ++impl.generation;
  if (impl.tls != nullptr) {
    if (impl.fd >= 0) impl.tls->session.finish();
    impl.tls.reset();
  }
  impl.connecting = impl.waiting = impl.full = false;
  impl.reading = impl.readable = impl.ending = false;
  impl.connect_result = -1;
  impl.worker.loop().remove(impl.fd, impl);
  if (impl.fd >= 0) ::close(std::exchange(impl.fd, -1));
}

void TcpStream::abort() {
  if (impl_->fd < 0) return;
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(impl_->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  impl_->tls.reset();  // without close_notify
  close();
}

}  // namespace heddle::net
