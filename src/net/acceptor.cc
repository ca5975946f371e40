#include "net/acceptor.h"

#include <sys/socket.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <utility>

#include "net/worker.h"

namespace heddle::net {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

struct Acceptor::Impl {
  // How many connections one event accepts, so that a flood of them does not starve the others.
  static constexpr int kBatch = 64;

  Impl(Worker& worker_in, Observer& observer_in)
      : worker(worker_in), observer(&observer_in), socket(worker_in.io().get_executor()) {}

  void accept_queued(int limit);

  Worker& worker;
  Observer* observer;
  asio::basic_socket_acceptor<tcp, asio::io_context::executor_type> socket;
  int fd = -1;
};

void Acceptor::Impl::accept_queued(int limit) {
  for (int i = 0; (limit == 0 || i < limit) && fd >= 0; ++i) {
    sockaddr_storage remote{};
    socklen_t size = sizeof remote;
    Fd accepted(
        ::accept4(fd, reinterpret_cast<sockaddr*>(&remote), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) {
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if (errno != EAGAIN) {
        worker.log().warn("a connection cannot be accepted", {{"errno", errno}});
      }
      return;
    }
    set_nodelay(accepted.get());
    observer->on_accept(std::move(accepted),
                        SocketAddress(reinterpret_cast<const sockaddr*>(&remote), size));
  }
}

Acceptor::Acceptor(Worker& worker, Fd listening, Observer& observer)
    : impl_(std::make_shared<Impl>(worker, observer)) {
  const SocketAddress local = local_address(listening.get());
  error_code error;
  impl_->socket.assign(local.family() == AF_INET6 ? tcp::v6() : tcp::v4(), listening.get(), error);
  if (!error) impl_->fd = listening.release();
}

Acceptor::~Acceptor() {
  impl_->observer = nullptr;
  impl_->fd = -1;
  error_code ignored;
  impl_->socket.close(ignored);
}

void Acceptor::start() {
  impl_->socket.async_wait(tcp::acceptor::wait_read, [this, impl = impl_](const error_code& error) {
    if (error || impl->observer == nullptr || impl->fd < 0) return;
    const Worker::Scope scope(impl->worker);
    impl->accept_queued(Impl::kBatch);
    if (impl->observer != nullptr && impl->fd >= 0) start();
  });
}

void Acceptor::stop() {
  if (impl_->fd < 0) return;
  impl_->accept_queued(0);
  impl_->fd = -1;
  error_code ignored;
  impl_->socket.close(ignored);
}

}  // namespace heddle::net
