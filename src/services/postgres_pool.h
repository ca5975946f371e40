// The connections of one plugin on one worker, and the calls that wait for one. Worker thread only.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/timer.h"
#include "services/postgres_connection.h"
#include "services/sql_postgres.h"

namespace heddle::services {

class PostgresPool : public std::enable_shared_from_this<PostgresPool> {
 public:
  // What all pools share.
  struct Shared {
    explicit Shared(PostgresOptions o, net::BlockingPool& p)
        : options(std::move(o)), roles(options.roles), pool(p) {}
    const PostgresOptions options;
    PostgresRoles roles;
    net::BlockingPool& pool;
  };

  PostgresPool(std::shared_ptr<Shared> shared, net::Worker& worker, std::string plugin);
  ~PostgresPool();  // with its worker; callers that are left hear nothing more
  PostgresPool(const PostgresPool&) = delete;
  PostgresPool& operator=(const PostgresPool&) = delete;

  Pending run(SqlRequest request, Sql::Callback done);

 private:
  struct Call;
  class Handle;
  using ConnectionPtr = std::unique_ptr<PostgresConnection>;

  void dispatch();
  void give_to(ConnectionPtr connection, const std::shared_ptr<Call>& call);
  void connect();
  void on_connected(Result<PostgresHandle> handle);
  void on_result(const std::shared_ptr<Call>& call, Result<SqlResult> result);
  void on_lost();
  void abandon(ConnectionPtr connection);
  bool is_full() const;
  void end(const std::shared_ptr<Call>& call);
  bool pausing() const { return failure_ && monotonic_now() < retry_at_; }
  void fail_waiting();
  void time_out(const std::shared_ptr<Call>& call);
  void reap_later();

  const std::shared_ptr<Shared> shared_;
  net::Worker& worker_;
  const std::string plugin_;
  std::deque<std::shared_ptr<Call>> waiting_;
  std::vector<ConnectionPtr> idle_;
  std::vector<std::shared_ptr<Call>> running_;
  std::vector<ConnectionPtr> abandoned_;  // until the server has ended what runs there
  Pending connecting_;                    // null: none
  Nanoseconds retry_at_ = 0;
  Nanoseconds pause_ = 0;  // 0: the last attempt succeeded
  std::optional<Error> failure_;
  net::Timer reaper_;
};

}  // namespace heddle::services
