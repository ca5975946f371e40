// The transactions of the writing thread in SQLite.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/result.h"
#include "messaging/sqlite_store.h"
#include "messaging/storage.h"
#include "messaging/write_thread.h"

namespace heddle::messaging {

// `work` runs within a transaction; its failure undoes what it did, and nothing else.
class SqliteWrite : public WriteThread::Write {
 public:
  virtual bool run(SqliteStore& store) = 0;  // whether to keep it
};

template <typename T>
class SqliteWriteOf final : public SqliteWrite {
 public:
  using Work = std::move_only_function<Result<T>(SqliteStore&)>;
  SqliteWriteOf(Work work, Reply<T> done) : work_(std::move(work)), done_(std::move(done)) {}
  bool run(SqliteStore& store) override {
    result_ = work_(store);
    return result_.has_value();
  }
  void answer(const Result<void>& committed) override {
    if (!committed) result_ = std::unexpected(committed.error());
    done_(std::move(result_));
  }

 private:
  Work work_;
  Reply<T> done_;
  Result<T> result_;
};

// One thread at a time; its writes are SqliteWrites.
class SqliteWriter {
 public:
  SqliteWriter(std::string path, std::unique_ptr<SqliteStore> store, Log& log)
      : path_(std::move(path)), store_(std::move(store)), log_(log) {}

  Result<void> commit(std::span<const std::unique_ptr<WriteThread::Write>> batch);

 private:
  Result<void> run(std::span<const std::unique_ptr<WriteThread::Write>> batch);

  std::string path_;
  std::unique_ptr<SqliteStore> store_;  // null: to be opened again
  Log& log_;
};

}  // namespace heddle::messaging
