// The control thread: signals and whatever other threads post to it, one after the other. It is
// main's own thread. Another one reads the signals, so that a busy control thread does not make
// the process deaf.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
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

  // What a second SIGTERM or SIGINT leaves for an orderly end; then the process ends as it is.
  static constexpr std::chrono::milliseconds kLastMoment{1000};

  // Without `signals` it hears of none, and only stop() ends it.
  explicit ControlLoop(bool signals = true);
  ~ControlLoop();
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  // Any thread.
  void post(std::move_only_function<void()> task);
  // As SIGTERM does. Any thread.
  void stop();
  // Whether a SIGTERM or SIGINT came, or stop() was called; whether a second one did: stop at
  // once. Any thread.
  bool stopping() const { return terminations_ > 0; }
  bool hurry() const { return terminations_ > 1; }

  // Runs until `terminate` was called; then runs what is still posted.
  void run(const Handlers& handlers);

 private:
  void run_posted();
  void follow_signals();

  int signal_fd_ = -1;
  int wake_fd_ = -1;
  int end_fd_ = -1;  // ends follow_signals()
  std::atomic<int> terminations_ = 0;
  std::atomic<bool> reload_ = false;
  std::mutex mutex_;
  std::vector<std::move_only_function<void()>> posted_;
  std::thread signals_;
};

}  // namespace heddle::cli
