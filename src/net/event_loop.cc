#include "net/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

namespace heddle::net {
namespace {

using Tasks = std::vector<std::move_only_function<void()>>;

thread_local const EventLoop* t_loop = nullptr;

constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr int kMaxTimeoutMs = 60'000;

void append(Tasks& to, Tasks& from) {
  if (to.empty()) {
    to.swap(from);
    return;
  }
  to.insert(to.end(), std::move_iterator(from.begin()), std::move_iterator(from.end()));
  from.clear();
}

Fd checked(int fd, const char* call) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), call);
  return Fd(fd);
}

}  // namespace

EventLoop::EventLoop(Host& host)
    : host_(host),
      epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_fd_(checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = nullptr}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_fd_.get(), &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
}

bool EventLoop::on_loop_thread() const {
  return t_loop == this;
}

EventLoop::Borrowed::Borrowed(EventLoop& loop) : before_(std::exchange(t_loop, &loop)) {}

EventLoop::Borrowed::~Borrowed() {
  t_loop = before_;
}

void EventLoop::run() {
  const Borrowed own(*this);
  while (!stopped_.load(std::memory_order_acquire)) {
    wait(run_timer());
    dispatch();
  }
}

// A timer may be what ends it.
void EventLoop::run_until(const bool& over) {
  while (!over) {
    const int timeout_ms = run_timer();
    if (over) return;
    wait(timeout_ms);
    dispatch();
  }
}

void EventLoop::dispatch() {
  while (event_next_ < event_count_) {
    const epoll_event& event = events_[event_next_++];
    if (event.data.ptr != nullptr) static_cast<Watcher*>(event.data.ptr)->on_events(event.events);
    if (stopped_.load(std::memory_order_relaxed)) break;
  }
  run_ready_list();
  run_tasks();
  host_.on_turn_end();
}

void EventLoop::wait(int timeout_ms) {
  if (event_next_ < event_count_) return;  // an exception left the rest of the last batch
  const int count =
      epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
  event_next_ = 0;
  event_count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
  for (std::size_t i = 0; i < event_count_; ++i) {
    if (events_[i].data.ptr != nullptr) continue;
    // Edge-triggered and never read: every write is a new edge, and the counter does not overflow.
    woken_.store(false, std::memory_order_release);
    remote_waits_ = true;
  }
}

int EventLoop::run_timer() {
  Nanoseconds left = 0;
  while (timer_ != 0 && (left = timer_ - monotonic_now()) <= 0) {
    timer_ = 0;
    host_.on_timer();
    host_.on_turn_end();
  }
  if (!ready_.empty() || !local_tasks_.empty()) return 0;
  if (timer_ == 0) return -1;
  return static_cast<int>(
      std::min<Nanoseconds>((left + kMillisecond - 1) / kMillisecond, kMaxTimeoutMs));
}

void EventLoop::run_tasks() {
  append(running_tasks_, local_tasks_);
  if (std::exchange(remote_waits_, false)) {
    const std::scoped_lock lock(mutex_);
    append(running_tasks_, remote_tasks_);
  }
  for (auto& entry : running_tasks_) {
    if (stopped_.load(std::memory_order_relaxed)) break;
    auto task = std::move(entry);
    if (task) host_.run_task(task);  // empty: it threw the last time
  }
  running_tasks_.clear();
}

void EventLoop::run_ready_list() {
  ready_now_.swap(ready_);
  // NOLINTNEXTLINE(modernize-loop-convert): entries change while it runs
  for (std::size_t i = 0; i < ready_now_.size(); ++i) {
    Watcher* const watcher = std::exchange(ready_now_[i], nullptr);
    if (watcher == nullptr) continue;
    watcher->ready_queued_ = false;
    watcher->on_ready();
  }
  ready_now_.clear();
}

void EventLoop::run_ready(Watcher& watcher) {
  if (watcher.ready_queued_) return;
  watcher.ready_queued_ = true;
  ready_.push_back(&watcher);
}

int EventLoop::add(int fd, std::uint32_t events, Watcher& watcher) {
  epoll_event event{.events = events, .data = {.ptr = &watcher}};
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

void EventLoop::remove(int fd, Watcher& watcher) {
  if (fd >= 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  for (std::size_t i = event_next_; i < event_count_; ++i) {
    if (events_[i].data.ptr == &watcher) events_[i] = {};
  }
  if (std::exchange(watcher.ready_queued_, false)) {
    std::ranges::replace(ready_, &watcher, nullptr);
    std::ranges::replace(ready_now_, &watcher, nullptr);
  }
}

void EventLoop::post(std::move_only_function<void()> task) {
  if (on_loop_thread()) {
    local_tasks_.push_back(std::move(task));
    return;
  }
  {
    const std::scoped_lock lock(mutex_);
    remote_tasks_.push_back(std::move(task));
  }
  wake();
}

void EventLoop::stop() {
  stopped_.store(true, std::memory_order_release);
  wake();
}

void EventLoop::wake() {
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;
  const std::uint64_t one = 1;
  // The counter would have to reach 2^64 for this to fail.
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_.get(), &one, sizeof one);
}

}  // namespace heddle::net
