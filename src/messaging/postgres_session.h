// One connection of the message store to PostgreSQL: runs statements, many in one round trip, and
// waits for their results no longer than its time limit. One thread at a time.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "messaging/postgres_call.h"
#include "services/postgres_values.h"

namespace heddle::messaging {

class PostgresSession {
 public:
  struct Target {
    std::string url;
    std::chrono::milliseconds timeout{5'000};  // of a statement
  };
  // The schema must be there (postgres_schema.h). Blocks.
  static Result<std::unique_ptr<PostgresSession>> open(const Target& target);
  // A connection as open() makes it, before it has prepared anything.
  static Result<services::PostgresHandle> connect(const Target& target);

  ~PostgresSession() = default;
  PostgresSession(const PostgresSession&) = delete;
  PostgresSession& operator=(const PostgresSession&) = delete;

  using Results = std::vector<services::PostgresResult>;
  // One result for each call, in order. After an error none of them counts: they are one
  // transaction.
  Result<Results> run(std::span<const PostgresCall* const> calls);
  // The same, and on the disk: an error also when the server warned that it may not be.
  Result<Results> commit(std::span<const PostgresCall* const> calls);
  Result<services::PostgresResult> run(const PostgresCall& call);

  // It is of no more use: the connection broke or does not answer, or the server is no longer the
  // one that may write.
  bool broken() const { return broken_; }
  // Whether it broke while nothing ran, as far as this side knows.
  bool gone();
  // The server's process behind it.
  std::int64_t process() const { return PQbackendPID(handle_.get()); }
  bool broken_by(const Error& /*error*/) const { return broken_; }

 private:
  PostgresSession(services::PostgresHandle handle, std::chrono::milliseconds timeout);
  Result<void> prepare();
  bool send(const PostgresCall& call);
  bool send(const char* statement);
  Result<Results> receive();
  Result<void> wait();
  Error break_off(const std::string& words);
  void note(const PGresult* failed, Result<Results>& out);
  static void on_notice(void* self, const PGresult* notice);

  services::PostgresHandle handle_;
  const std::chrono::milliseconds timeout_;
  bool broken_ = false;
  std::string warning_;  // of the server, since the last run began
};

}  // namespace heddle::messaging
