// One connection to PostgreSQL on a worker's event loop: sends a statement, takes its rows one at a
// time as they come, and tells the result. Never waits.
//
// Worker thread only. A statement that nobody waits for is abandoned before this is destroyed;
// otherwise the server goes on with it until its own time-out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "net/event_loop.h"
#include "net/timer.h"
#include "services/postgres_cancel.h"
#include "services/postgres_values.h"
#include "services/sql.h"

namespace heddle::net {
class Worker;
}

namespace heddle::services {

class PostgresConnection final : private net::EventLoop::Watcher {
 public:
  using Done = std::move_only_function<void(Result<SqlResult>)>;

  // `on_lost`: the server closed the connection while nothing ran; may destroy this.
  PostgresConnection(net::Worker& worker, PostgresHandle handle, const SqlLimits& limits,
                     std::move_only_function<void()> on_lost);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  // Nothing else runs. `done` comes from the event loop, or from within when the connection is
  // broken already; it may destroy this.
  void run(const SqlRequest& request, Done done);
  // Whether it may run another statement: it stands, and the last one left nothing behind.
  bool reusable() const { return reusable_; }
  // A statement runs at the server, though its result may be known (it passed a limit).
  bool busy() const { return step_ != Step::kIdle; }
  // Nobody waits for the statement: cancels it at the server, and again until it ends, because a
  // request that comes before the statement began is lost there. `ended` comes as an event of its
  // own and may destroy this, which is not reusable: a late request could hit the next statement.
  void abandon(std::move_only_function<void()> ended);

 private:
  enum class Step : std::uint8_t { kIdle, kBegin, kStatement, kEnd };

  void on_events(std::uint32_t events) override;
  void watch(std::uint32_t events);
  bool send(Step step);
  bool send_own(const char* statement);
  bool send_statement();
  void pump();
  bool take(const PGresult* result);  // false: the statement is over
  bool take_rows(const PGresult* result);
  void note_command(const PGresult* result);
  void step_is_over();
  void give_up(Error error);
  void finish();
  void cancel_at_server();
  void end_abandoned();

  net::Worker& worker_;
  PostgresHandle handle_;
  const SqlLimits limits_;
  std::move_only_function<void()> on_lost_;
  std::uint32_t watched_ = 0;  // 0: not watched
  int fd_ = -1;
  bool reusable_ = true;
  bool abandoned_ = false;
  bool copies_ = false;  // COPY ends with the connection only
  int cancels_ = 0;
  std::optional<PostgresCancel> cancel_;  // of one that is abandoned
  net::Timer cancel_timer_;
  bool left_traces_ = false;  // settings, locks or cursors of a statement

  // Of the statement that runs:
  Step step_ = Step::kIdle;
  std::string statement_;
  std::vector<SqlValue> parameters_;
  bool read_only_ = false;
  bool in_transaction_ = false;  // of ours: of a reader, or what may be undone
  Done done_;
  Result<SqlResult> result_;
  std::size_t result_bytes_ = 0;
  std::size_t unparsed_bytes_ = 0;  // received since the last row was whole
};

}  // namespace heddle::services
