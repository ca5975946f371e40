#include "cli/control_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <utility>

#include "cli/commands.h"

namespace heddle::cli {
namespace {

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

constexpr int kTickMilliseconds = 1000;
constexpr int kForever = -1;

void add_one(int event_fd) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(event_fd, &one, sizeof one);
}

}  // namespace

Result<void> ControlLoop::block_signals() {
  const sigset_t set = handled_signals();
  std::signal(SIGPIPE, SIG_IGN);
  if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) {
    return fail(ErrorKind::kIo, "cannot block signals");
  }
  return {};
}

ControlLoop::ControlLoop(bool signals) {
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (!signals) return;
  const sigset_t set = handled_signals();
  signal_fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  end_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  signals_ = std::thread([this] { follow_signals(); });
  pthread_setname_np(signals_.native_handle(), "heddle-signals");
}

ControlLoop::~ControlLoop() {
  if (signals_.joinable()) {
    add_one(end_fd_);
    signals_.join();
    close(end_fd_);
    close(signal_fd_);
  }
  close(wake_fd_);
}

void ControlLoop::post(std::move_only_function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  add_one(wake_fd_);
}

void ControlLoop::stop() {
  post([this] { ++terminations_; });
}

void ControlLoop::follow_signals() {
  int wait = kForever;
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{signal_fd_, POLLIN, 0}, pollfd{end_fd_, POLLIN, 0}};
    const int ready = poll(fds.data(), fds.size(), wait);
    if (fds[1].revents != 0) return;
    // Not exit(): other threads use what it would destroy.
    if (ready == 0) _exit(kExitOk);
    signalfd_siginfo info{};
    while (read(signal_fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo == SIGHUP) {
        reload_ = true;
      } else if (++terminations_ > 1) {
        wait = static_cast<int>(kLastMoment.count());
      }
    }
    add_one(wake_fd_);
  }
}

void ControlLoop::run_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof count);
  std::vector<std::move_only_function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
}

void ControlLoop::run(const Handlers& handlers) {
  while (!stopping()) {
    pollfd woken{wake_fd_, POLLIN, 0};
    if (poll(&woken, 1, kTickMilliseconds) == 0) handlers.tick();
    run_posted();
    if (reload_.exchange(false)) handlers.reload();
  }
  handlers.terminate();
  run_posted();
}

}  // namespace heddle::cli
