// The control thread: signals and whatever other threads post to it, one after the other. It is
// main's own thread.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

#include "base/result.h"

namespace heddle::cli {

class ControlLoop {
 public:
  struct Handlers {
    std::function<void()> reload;     // SIGHUP
    std::function<void()> terminate;  // the first SIGTERM or SIGINT
    std::function<void()> tick;       // about once a second
  };

  // Blocks the signals in the calling thread; threads made afterwards inherit that. So it comes
  // before any thread.
  static Result<void> block_signals();

  // Without `signals` it hears of none, and only stop() ends it.
  explicit ControlLoop(bool signals = true);
  ~ControlLoop();
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  // Any thread.
  void post(std::move_only_function<void()> task);
  // As SIGTERM does. Any thread.
  void stop();
  // Whether a second SIGTERM or SIGINT came: stop at once. Reads pending signals.
  bool hurry();

  // Runs until `terminate` was called; then runs what is still posted.
  void run(const Handlers& handlers);

 private:
  void run_posted();
  // Reads one pending signal; 0 when there is none.
  int read_signal();

  int signal_fd_ = -1;
  int wake_fd_ = -1;
  int terminations_ = 0;
  std::mutex mutex_;
  std::vector<std::move_only_function<void()>> posted_;
};

}  // namespace heddle::cli
