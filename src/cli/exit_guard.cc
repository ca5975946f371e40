#include "cli/exit_guard.h"

#include <unistd.h>

#include <cstdlib>

namespace heddle::cli {

ExitGuard::ExitGuard(Log& log, std::chrono::milliseconds limit)
    : log_(log), thread_([this, limit] { run(limit); }) {}

ExitGuard::~ExitGuard() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ExitGuard::run(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  if (wake_.wait_for(lock, limit, [this] { return ended_; })) return;
  log_.error(
      "the server could not end: a native plugin within it does not return, which the log before "
      "this names; the process is ended",
      {{"after_ms", limit.count()}});
  exit_at_once(log_);
}

void exit_at_once(Log& log) {
  constexpr std::chrono::milliseconds kToWrite{200};
  log.flush();
  std::this_thread::sleep_for(kToWrite);  // a thread of the log's own writes it
  _exit(EXIT_FAILURE);
}

}  // namespace heddle::cli
