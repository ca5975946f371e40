// Group commit: one thread that writes. What arrives while a transaction is on its way to the disk
// shares the next one, so that a thousand writes cost one fsync; each is answered when its
// transaction is on the disk.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"

namespace heddle::messaging {

class WriteThread {
 public:
  // What one call of the storage changes; each database has its own kind.
  class Write {
   public:
    virtual ~Write() = default;
    // Once, on the writing thread: its transaction is on the disk, or failed.
    virtual void answer(const Result<void>& committed) = 0;
  };
  // One transaction: leaves in each write what came of it. An error says that none was kept.
  using Commit = std::move_only_function<Result<void>(std::span<const std::unique_ptr<Write>>)>;

  WriteThread(Commit commit, metrics::Registry& metrics);
  ~WriteThread();  // writes what was added
  WriteThread(const WriteThread&) = delete;
  WriteThread& operator=(const WriteThread&) = delete;

  // Any thread. After the destructor began, or when too many wait, the write is answered from here
  // with kUnavailable.
  void add(std::unique_ptr<Write> write);

 private:
  void run();

  Commit commit_;  // the thread's
  std::shared_ptr<metrics::Counter> commits_;
  std::shared_ptr<metrics::Counter> writes_;
  std::shared_ptr<metrics::Counter> failures_;
  std::shared_ptr<metrics::Histogram> duration_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Write>> waiting_;  // guarded by mutex_
  bool stopping_ = false;                        // guarded by mutex_
  std::thread thread_;
};

}  // namespace heddle::messaging
