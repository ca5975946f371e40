// The transactions of the writing thread in PostgreSQL: each goes to the server in one round trip.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "messaging/postgres_door.h"
#include "messaging/storage.h"
#include "messaging/write_thread.h"

namespace heddle::messaging {

// One statement. It does not fail for what may happen, as that would undo the others.
class PostgresWrite : public WriteThread::Write {
 public:
  // `recipient_key`: whose mailbox it changes; empty: nobody's.
  PostgresWrite(PostgresCall call, std::string recipient_key)
      : call_(std::move(call)), recipient_key_(std::move(recipient_key)) {}
  const PostgresCall& call() const { return call_; }
  const std::string& recipient_key() const { return recipient_key_; }
  virtual void take(const PGresult* result) = 0;
  virtual void refuse(const Error& error) = 0;

 private:
  PostgresCall call_;
  std::string recipient_key_;
};

template <typename T>
class PostgresWriteOf final : public PostgresWrite {
 public:
  using Read = std::move_only_function<Result<T>(const PGresult*)>;
  PostgresWriteOf(PostgresCall call, std::string recipient_key, Read read, Reply<T> done)
      : PostgresWrite(std::move(call), std::move(recipient_key)),
        read_(std::move(read)),
        done_(std::move(done)) {}
  void take(const PGresult* result) override { result_ = read_(result); }
  void refuse(const Error& error) override { result_ = std::unexpected(error); }
  void answer(const Result<void>& committed) override {
    if (!committed) result_ = std::unexpected(committed.error());
    done_(std::move(result_));
  }

 private:
  Read read_;
  Reply<T> done_;
  Result<T> result_;
};

// One thread at a time; its writes are PostgresWrites.
class PostgresWriter {
 public:
  PostgresWriter(PostgresDoor& door, Log& log) : door_(door), log_(log) {}

  Result<void> commit(std::span<const std::unique_ptr<WriteThread::Write>> batch);

 private:
  Result<void> commit_together(std::span<PostgresWrite* const> writes);
  void commit_each(std::span<PostgresWrite* const> writes);
  Result<void> connect();
  void drop(const Error& error);

  PostgresDoor& door_;
  Log& log_;
  std::unique_ptr<PostgresSession> session_;  // null: to be opened
  std::int64_t dropped_ = 0;                  // the process of the last one
};

}  // namespace heddle::messaging
