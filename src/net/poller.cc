#include "net/poller.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <utility>

#include "net/worker.h"

namespace heddle::net {
namespace asio = boost::asio;

namespace {

// While events keep coming, the set is asked again without going through Asio, at most this often:
// timers and posts must not wait for long.
constexpr int kMaxRounds = 8;
constexpr int kBusyEvents = 3;

}  // namespace

struct Poller::Impl {
  Impl(asio::io_context& io, int fd) : descriptor(io.get_executor(), fd) {}
  asio::posix::basic_stream_descriptor<asio::io_context::executor_type> descriptor;
};

Poller::Poller(Worker& worker) : worker_(worker), fd_(::epoll_create1(EPOLL_CLOEXEC)) {
  impl_ = std::make_unique<Impl>(worker.io(), fd_);
  wait();
}

Poller::~Poller() = default;  // the descriptor closes the set

void Poller::wait() {
  impl_->descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                               [this](const boost::system::error_code& error) {
                                 if (error) return;
                                 run();
                                 wait();
                               });
}

bool Poller::add(int fd, Target& target) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &target;
  return ::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Poller::request_call(Target& target) {
  if (std::exchange(target.call_requested_, true)) return;
  requested_.push_back(&target);
  if (!in_run_ && requested_.size() == 1) worker_.post([this] { run_requested(); });
}

void Poller::forget(Target& target) {
  for (int i = 0; i < event_count_; ++i) {
    if (events_[static_cast<std::size_t>(i)].data.ptr == &target)
      events_[static_cast<std::size_t>(i)].data.ptr = nullptr;
  }
  if (!std::exchange(target.call_requested_, false)) return;
  for (auto* list : {&requested_, &running_}) {
    for (Target*& entry : *list) {
      if (entry == &target) entry = nullptr;
    }
  }
}

void Poller::run() {
  in_run_ = true;
  for (int round = 0; round < kMaxRounds; ++round) {
    const int count = run_events();
    const bool requested = !requested_.empty();
    run_requested();
    if (count < kBusyEvents && !requested) break;
  }
  in_run_ = false;
  if (!requested_.empty()) worker_.post([this] { run_requested(); });
}

int Poller::run_events() {
  const int count = ::epoll_wait(fd_, events_.data(), kBatch, 0);
  event_count_ = count;
  for (int i = 0; i < count; ++i) {
    const epoll_event event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) continue;
    const Worker::Scope scope(worker_);
    static_cast<Target*>(event.data.ptr)->on_events(event.events);
  }
  event_count_ = 0;
  return count;
}

// What is requested meanwhile waits for the next round.
void Poller::run_requested() {
  std::swap(running_, requested_);
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Target* const target = running_[i];
    if (target == nullptr) continue;
    running_[i] = nullptr;
    target->call_requested_ = false;
    const Worker::Scope scope(worker_);
    target->on_events(0);
  }
  running_.clear();
}

}  // namespace heddle::net
