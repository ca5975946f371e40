// Group commit: one thread that writes. What arrives while a transaction is on its way to the disk
// shares the next one, so that a thousand writes cost one fsync; each is answered when its
// transaction is on the disk.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "messaging/sqlite_store.h"
#include "messaging/storage.h"

namespace heddle::messaging {

class WriteThread {
 public:
  WriteThread(std::string path, std::unique_ptr<SqliteStore> store, Log& log,
              metrics::Registry& metrics);
  ~WriteThread();  // writes what was added
  WriteThread(const WriteThread&) = delete;
  WriteThread& operator=(const WriteThread&) = delete;

  // Any thread. `work` runs within a transaction; its failure undoes what it did, and nothing else.
  // `done` comes on the writing thread; after the destructor began, from here with kUnavailable.
  template <typename T>
  void add(std::move_only_function<Result<T>(SqliteStore&)> work, Reply<T> done) {
    push(std::make_unique<WriteOf<T>>(std::move(work), std::move(done)));
  }

 private:
  class Write {
   public:
    virtual ~Write() = default;
    virtual bool run(SqliteStore& store) = 0;  // whether to keep it
    virtual void answer(const Result<void>& committed) = 0;
  };
  template <typename T>
  class WriteOf final : public Write {
   public:
    WriteOf(std::move_only_function<Result<T>(SqliteStore&)> work, Reply<T> done)
        : work_(std::move(work)), done_(std::move(done)) {}
    bool run(SqliteStore& store) override {
      result_ = work_(store);
      return result_.has_value();
    }
    void answer(const Result<void>& committed) override {
      if (!committed) result_ = std::unexpected(committed.error());
      done_(std::move(result_));
    }

   private:
    std::move_only_function<Result<T>(SqliteStore&)> work_;
    Reply<T> done_;
    Result<T> result_;
  };
  using Batch = std::vector<std::unique_ptr<Write>>;

  void push(std::unique_ptr<Write> write);
  void run();
  Result<void> run_batch(const Batch& batch);

  const std::string path_;
  Log& log_;
  std::unique_ptr<SqliteStore> store_;  // the thread's; null: to be opened again
  std::shared_ptr<metrics::Counter> commits_;
  std::shared_ptr<metrics::Counter> writes_;
  std::shared_ptr<metrics::Counter> failures_;
  std::shared_ptr<metrics::Histogram> duration_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Batch waiting_;          // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace heddle::messaging
