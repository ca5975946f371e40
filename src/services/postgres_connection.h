// One connection to PostgreSQL on a worker's event loop: sends a statement, takes its rows one at a
// time as they come, and tells the result. Never waits: what would block (the cancel request) goes
// to the blocking pool.
//
// Worker thread only. Destroying it while a statement runs cancels that statement at the server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "net/event_loop.h"
#include "services/postgres_values.h"
#include "services/sql.h"

namespace heddle::net {
class BlockingPool;
class Worker;
}  // namespace heddle::net

namespace heddle::services {

class PostgresConnection final : private net::EventLoop::Watcher {
 public:
  using Done = std::move_only_function<void(Result<SqlResult>)>;

  // `on_lost`: the server closed the connection while nothing ran; may destroy this.
  PostgresConnection(net::Worker& worker, net::BlockingPool& pool, PostgresHandle handle,
                     const SqlLimits& limits, std::move_only_function<void()> on_lost);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  // Nothing else runs. `done` comes from the event loop, or from within when the connection is
  // broken already; it may destroy this.
  void run(const SqlRequest& request, Done done);
  // Whether it may run another statement: it stands, and the last one left nothing behind.
  bool reusable() const { return reusable_; }
  // The blocking pool has ended: nothing is cancelled any more (the server's own time-out ends it).
  void forget_statement() { step_ = Step::kIdle; }

 private:
  enum class Step : std::uint8_t { kIdle, kBegin, kStatement, kEnd };

  void on_events(std::uint32_t events) override;
  void watch(std::uint32_t events);
  bool send(Step step);
  bool send_statement();
  void pump();
  bool take(const PGresult* result);  // false: the statement is over
  bool take_rows(const PGresult* result);
  void note_command(const PGresult* result);
  void step_is_over();
  void give_up(Error error);
  void finish();
  void cancel_at_server();

  net::Worker& worker_;
  net::BlockingPool& pool_;
  PostgresHandle handle_;
  const SqlLimits limits_;
  std::move_only_function<void()> on_lost_;
  std::uint32_t watched_ = 0;  // 0: not watched
  int fd_ = -1;
  bool reusable_ = true;
  bool left_traces_ = false;  // settings, locks or cursors of a statement

  // Of the statement that runs:
  Step step_ = Step::kIdle;
  std::string statement_;
  std::vector<SqlValue> parameters_;
  bool read_only_ = false;
  Done done_;
  Result<SqlResult> result_;
  std::size_t result_bytes_ = 0;
  std::size_t unparsed_bytes_ = 0;  // received since the last row was whole
};

}  // namespace heddle::services
