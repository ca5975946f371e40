// What stands behind heddle::Host: engine, methods and the workers on which plugins run. Any
// thread.
//
// Workers without threads (Seats) are lent to callers that wait; those with threads, made with the
// first asynchronous call, run calls that answer through a callback. Destroyed by the last handle
// or the last call, never on one of its own threads.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "heddle/host.h"
#include "library/methods.h"
#include "library/seats.h"
#include "net/worker.h"
#include "sandbox/engine.h"

namespace heddle::v1::internal {

class HostCore : public std::enable_shared_from_this<HostCore> {
 public:
  static heddle::Result<std::shared_ptr<HostCore>> create(HostOptions options);
  HostCore(const HostCore&) = delete;
  HostCore& operator=(const HostCore&) = delete;

  heddle::Result<std::shared_ptr<PluginCore>> load(std::span<const std::byte> module,
                                                   PluginOptions options);

  const HostOptions& options() const { return options_; }
  Log& log() { return *log_; }
  sandbox::Engine& engine() { return *engine_; }
  library::Methods& methods() { return methods_; }
  library::Seats& seats() { return seats_; }
  // One after the other; null when the system has no more threads.
  net::Worker* next_thread();
  metrics::Registry& metrics() { return metrics_; }

 private:
  explicit HostCore(HostOptions options);
  ~HostCore();
  static void destroy(HostCore* core);

  HostOptions options_;
  std::unique_ptr<Log> log_;
  metrics::Registry metrics_;
  std::unique_ptr<sandbox::Engine> engine_;
  library::Methods methods_;
  library::Seats seats_;
  std::mutex threads_mutex_;
  std::size_t next_ = 0;                               // guarded by threads_mutex_
  std::vector<std::unique_ptr<net::Worker>> threads_;  // guarded by threads_mutex_
};

}  // namespace heddle::v1::internal
