#include "net/acceptor.h"

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "net/event_loop.h"
#include "net/timer.h"
#include "net/timer_queue.h"
#include "net/worker.h"

namespace heddle::net {
namespace {

// How many connections one event accepts, so that a flood of them does not starve the others.
constexpr int kBatch = 64;
constexpr int kQueue = SOMAXCONN + 1;  // what the kernel holds at most
constexpr std::chrono::milliseconds kRetry{100};

}  // namespace

struct Acceptor::Impl final : EventLoop::Watcher {
  Impl(Worker& worker_in, Fd listening, Observer& observer_in)
      : worker(worker_in), observer(observer_in), fd(std::move(listening)) {}
  ~Impl() { close(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void on_events(std::uint32_t) override {
    const Worker::Scope scope(worker);
    accept_queued(kBatch);
  }
  void accept_queued(int limit);
  void watch() {
    // Level-triggered: what a batch leaves comes with the next turn of the loop.
    watched = worker.loop().add(fd.get(), EPOLLIN, *this) == 0;
  }
  void unwatch() {
    if (std::exchange(watched, false)) worker.loop().remove(fd.get(), *this);
  }
  void pause(int error);
  void close() {
    retry.cancel();
    last.cancel();
    unwatch();
    fd = Fd();
  }

  Worker& worker;
  Observer& observer;
  Fd fd;
  bool watched = false;
  Timer retry;
  Timer last;  // armed: it has been stopped
};

// Out of descriptors or memory: the connection stays in the queue, and asking again at once would
// only burn the processor.
void Acceptor::Impl::pause(int error) {
  worker.log().warn("connections cannot be accepted now; retrying",
                    {{"error", std::generic_category().message(error)},
                     {"remedy", "raise the limit of open files (ulimit -n)"}});
  unwatch();
  retry.arm(worker.timers(), kRetry, [this] { watch(); });
}

void Acceptor::Impl::accept_queued(int limit) {
  for (int i = 0; i < limit && fd; ++i) {
    sockaddr_storage remote{};
    socklen_t size = sizeof remote;
    Fd accepted(::accept4(fd.get(), reinterpret_cast<sockaddr*>(&remote), &size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) {
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if (errno != EAGAIN) pause(errno);
      return;
    }
    set_nodelay(accepted.get());
    observer.on_accept(std::move(accepted),
                       SocketAddress(reinterpret_cast<const sockaddr*>(&remote), size));
  }
}

Acceptor::Acceptor(Worker& worker, Fd listening, Observer& observer)
    : impl_(std::make_unique<Impl>(worker, std::move(listening), observer)) {}

Acceptor::~Acceptor() = default;

void Acceptor::start() {
  impl_->watch();
}

void Acceptor::stop() {
  if (!impl_->fd || impl_->last.armed()) return;
  drop_new_handshakes(impl_->fd.get());
  impl_->last.arm(impl_->worker.timers(), kLastHandshakes, [this] {
    impl_->accept_queued(kQueue);
    impl_->close();
  });
}

void Acceptor::close() {
  impl_->close();
}

Fd Acceptor::release() {
  if (impl_->last.armed()) return {};  // it lets nobody in any more
  impl_->unwatch();
  Fd out = std::move(impl_->fd);
  impl_->close();
  return out;
}

bool Acceptor::open() const {
  return static_cast<bool>(impl_->fd);
}

}  // namespace heddle::net
