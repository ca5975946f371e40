// Ends the process when the server's own end does not come: native code within the server that
// never returns holds its thread, and nothing can stop it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace heddle::cli {

class ExitGuard {
 public:
  // Exits with status 1 after `limit`, unless it is destroyed before.
  ExitGuard(Log& log, std::chrono::milliseconds limit);
  ~ExitGuard();
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;

 private:
  void run(std::chrono::milliseconds limit);

  Log& log_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;  // guarded by mutex_
  std::thread thread_;
};

// While threads of the server still run, so that nothing of it may go. What was logged is written.
[[noreturn]] void exit_at_once(Log& log);

}  // namespace heddle::cli
