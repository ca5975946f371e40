// For tests and fuzzers: a worker with its thread.
#pragma once

#include <future>
#include <memory>

#include "base/log.h"
#include "base/metrics.h"
#include "net/worker.h"

namespace heddle::net::testing {

// Runs `task` on a worker whose thread runs, and waits for it.
template <typename Task>
void run_on(Worker& worker, Task task) {
  std::promise<void> done;
  worker.post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

class TestWorker {
 public:
  TestWorker() { worker.start(); }
  ~TestWorker() {
    worker.stop();
    worker.join();
  }
  TestWorker(const TestWorker&) = delete;
  TestWorker& operator=(const TestWorker&) = delete;

  template <typename Task>
  void on_worker(Task task) {
    run_on(worker, task);
  }

  std::unique_ptr<Log> log = Log::null();
  metrics::Registry registry;  // for what runs on the worker: ends after it
  Worker worker{0, *log};
};

}  // namespace heddle::net::testing
