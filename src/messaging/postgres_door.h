// Where the threads of the message store get their connections. While the database cannot be
// reached, calls fail at once but for one attempt after each pause, which grows to two seconds; the
// log hears when it went and when it is back. Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "messaging/postgres_session.h"

namespace heddle::messaging {

class PostgresDoor {
 public:
  PostgresDoor(PostgresSession::Target target, Log& log);

  Result<std::unique_ptr<PostgresSession>> open();
  // A connection was of no more use.
  void lost(const Error& error);

 private:
  void went(const Error& error);
  void is_back();

  const PostgresSession::Target target_;
  const std::string place_;
  Log& log_;
  std::mutex mutex_;
  std::optional<Error> failure_;  // guarded by mutex_; of the last attempt
  Nanoseconds pause_ = 0;         // guarded by mutex_
  Nanoseconds retry_at_ = 0;      // guarded by mutex_
};

}  // namespace heddle::messaging
