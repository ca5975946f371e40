#include "cli/control_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <utility>

namespace heddle::cli {
namespace {

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

constexpr int kTickMilliseconds = 1000;

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
  const sigset_t set = handled_signals();
  if (signals) signal_fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

ControlLoop::~ControlLoop() {
  if (signal_fd_ >= 0) close(signal_fd_);
  close(wake_fd_);
}

void ControlLoop::post(std::move_only_function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
}

void ControlLoop::stop() {
  post([this] { ++terminations_; });
}

int ControlLoop::read_signal() {
  if (signal_fd_ < 0) return 0;
  signalfd_siginfo info{};
  if (read(signal_fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return 0;
  const auto signal = static_cast<int>(info.ssi_signo);
  if (signal == SIGTERM || signal == SIGINT) ++terminations_;
  return signal;
}

bool ControlLoop::hurry() {
  while (read_signal() != 0) {
  }
  return terminations_ > 1;
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
  while (terminations_ == 0) {
    std::array<pollfd, 2> fds{pollfd{signal_fd_, POLLIN, 0}, pollfd{wake_fd_, POLLIN, 0}};
    if (poll(fds.data(), fds.size(), kTickMilliseconds) == 0) handlers.tick();
    run_posted();
    while (const int signal = read_signal()) {
      if (signal == SIGHUP) handlers.reload();
    }
  }
  handlers.terminate();
  run_posted();
}

}  // namespace heddle::cli
