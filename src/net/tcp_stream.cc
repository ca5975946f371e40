#include "net/tcp_stream.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <new>
#include <utility>

#include "net/worker.h"

namespace heddle::net {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;

namespace {

// Memory for one operation under way: Asio's frames live in the stream, so that an operation
// allocates nothing.
struct OperationSlot {
  static constexpr std::size_t kSize = 256;
  alignas(std::max_align_t) std::array<std::byte, kSize> bytes;
  bool used = false;
};

template <typename T>
struct SlotAllocator {
  using value_type = T;
  explicit SlotAllocator(OperationSlot& slot_in) : slot(&slot_in) {}
  template <typename U>
  SlotAllocator(const SlotAllocator<U>& other)
      : slot(other.slot) {}  // NOLINT: rebinding is implicit

  T* allocate(std::size_t count) {
    if (!slot->used && count * sizeof(T) <= OperationSlot::kSize) {
      slot->used = true;
      return reinterpret_cast<T*>(slot->bytes.data());
    }
    return static_cast<T*>(::operator new(count * sizeof(T)));
  }
  void deallocate(T* memory, std::size_t) {
    if (reinterpret_cast<std::byte*>(memory) == slot->bytes.data()) {
      slot->used = false;
    } else {
      ::operator delete(memory);
    }
  }
  template <typename U>
  bool operator==(const SlotAllocator<U>& other) const {
    return slot == other.slot;
  }
  OperationSlot* slot;
};

int to_errno(const error_code& error) {
  if (!error) return 0;
  return error.category() == boost::system::system_category() ? error.value() : ECONNRESET;
}

}  // namespace

struct TcpStream::Impl {
  enum class Operation : std::uint8_t { kRead, kWrite };

  // A reference to the stream that Asio carries; the last one deletes.
  template <Operation kind>
  struct Handler {
    using allocator_type = SlotAllocator<std::byte>;
    explicit Handler(Impl& target) : impl(&target), generation(target.generation) {
      ++impl->references;
    }
    Handler(Handler&& other) noexcept
        : impl(std::exchange(other.impl, nullptr)), generation(other.generation) {}
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    Handler& operator=(Handler&&) = delete;
    ~Handler() {
      if (impl != nullptr) impl->unref();
    }
    allocator_type get_allocator() const noexcept {
      return allocator_type(kind == Operation::kRead ? impl->read_slot : impl->write_slot);
    }
    void operator()(const error_code& error, std::size_t count) {
      if (generation == impl->generation) impl->read_done(error, count);
    }
    void operator()(const error_code& error) {
      if (generation == impl->generation) impl->write_done(error);
    }
    Impl* impl;
    unsigned generation;
  };

  Impl(Worker& worker_in, Observer& observer_in)
      : worker(worker_in), observer(&observer_in), socket(worker_in.io().get_executor()) {}

  void unref() {
    if (--references == 0) delete this;  // NOLINT: shared with Asio's operations, counted above
  }
  void read_done(const error_code& error, std::size_t count);
  void write_done(const error_code& error);
  void connect_done(int error);

  Worker& worker;
  Observer* observer;  // null: closed, nobody listens
  asio::basic_stream_socket<tcp, Executor> socket;
  int references = 1;
  int fd = -1;
  unsigned generation =
      0;  // grows with every close: what was waited for before is not news any more
  bool reading = false;
  bool waiting = false;  // for writability
  bool connecting = false;
  OperationSlot read_slot;
  OperationSlot write_slot;
};

void TcpStream::Impl::read_done(const error_code& error, std::size_t count) {
  reading = false;
  if (observer == nullptr) return;
  const Worker::Scope scope(worker);
  if (!error) {
    observer->on_read(count);
  } else {
    observer->on_read_end(error == asio::error::eof ? 0 : to_errno(error));
  }
}

void TcpStream::Impl::write_done(const error_code& error) {
  if (std::exchange(connecting, false)) {
    int code = to_errno(error);
    socklen_t size = sizeof code;
    if (code == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
    connect_done(code);
    return;
  }
  waiting = false;
  if (observer == nullptr) return;
  const Worker::Scope scope(worker);
  observer->on_write_ready();  // an error shows in the next send
}

void TcpStream::Impl::connect_done(int error) {
  if (observer == nullptr) return;
  const Worker::Scope scope(worker);
  observer->on_connect(error);
}

TcpStream::TcpStream(Worker& worker, Observer& observer) : impl_(new Impl(worker, observer)) {}

TcpStream::~TcpStream() {
  close();
  impl_->observer = nullptr;
  impl_->unref();
}

void TcpStream::adopt(Fd fd) {
  const SocketAddress local = local_address(fd.get());
  error_code error;
  impl_->socket.assign(local.family() == AF_INET6 ? tcp::v6() : tcp::v4(), fd.get(), error);
  if (!error) impl_->fd = fd.release();
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
    error_code error;
    impl.socket.assign(address.family() == AF_INET6 ? tcp::v6() : tcp::v4(), fd.get(), error);
    result = to_errno(error);
    if (!error) {
      impl.fd = fd.release();
      if (::connect(impl.fd, address.data(), address.size()) != 0) result = errno;
    }
  }
  Impl::Handler<Impl::Operation::kWrite> handler(impl);
  if (result == EINPROGRESS) {
    impl.connecting = true;
    impl.socket.async_wait(tcp::socket::wait_write, std::move(handler));
    return;
  }
  impl.worker.post([handler = std::move(handler), result] {
    if (handler.generation == handler.impl->generation) handler.impl->connect_done(result);
  });
}

int TcpStream::fd() const {
  return impl_->fd;
}
bool TcpStream::reading() const {
  return impl_->reading;
}

void TcpStream::read(char* data, std::size_t size) {
  if (impl_->fd < 0 || impl_->reading) return;
  impl_->reading = true;
  impl_->socket.async_read_some(asio::mutable_buffer(data, size),
                                Impl::Handler<Impl::Operation::kRead>(*impl_));
}

ssize_t TcpStream::send(std::span<const iovec> parts) {
  if (impl_->fd < 0) return -EPIPE;
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());  // NOLINT: sendmsg does not write to it
  message.msg_iovlen = parts.size();
  for (;;) {
    // The raw call: the C library's is a cancellation point, which costs in a process with threads.
    const ssize_t sent = ::syscall(SYS_sendmsg, impl_->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

void TcpStream::wait_writable() {
  if (impl_->fd < 0 || impl_->waiting) return;
  impl_->waiting = true;
  impl_->socket.async_wait(tcp::socket::wait_write, Impl::Handler<Impl::Operation::kWrite>(*impl_));
}

bool TcpStream::is_stale() const {
  if (impl_->fd < 0) return true;
  char byte = 0;
  const ssize_t got = ::recv(impl_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

void TcpStream::shutdown_send() {
  if (impl_->fd >= 0) ::shutdown(impl_->fd, SHUT_WR);
}

void TcpStream::close() {
  ++impl_->generation;
  impl_->connecting = impl_->waiting = impl_->reading = false;
  if (impl_->fd < 0) return;
  impl_->fd = -1;
  error_code ignored;
  impl_->socket.close(ignored);
}

void TcpStream::abort() {
  if (impl_->fd < 0) return;
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(impl_->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close();
}

}  // namespace heddle::net
