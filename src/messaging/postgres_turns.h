// Whose turn it is to give the numbers of a recipient, among all servers on one database: the one
// that holds the recipient's advisory lock, with a connection that this keeps for it. The server's
// death or a broken connection ends its turns; what it still stores then is refused by the writer's
// check, so that the locks only spare servers such refusals.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "messaging/postgres_door.h"
#include "messaging/storage.h"

namespace heddle::messaging {

class PostgresTurns {
 public:
  // `patience`: how long to ask for a turn that another server has.
  PostgresTurns(PostgresDoor& door, std::chrono::milliseconds patience);
  ~PostgresTurns();  // what was asked for fails
  PostgresTurns(const PostgresTurns&) = delete;
  PostgresTurns& operator=(const PostgresTurns&) = delete;

  // As Lanes::Store says. Any thread.
  void begin(std::string recipient_key, Nanoseconds not_before, Reply<std::uint64_t> done);
  void end(const std::string& recipient_key);

 private:
  struct Wanted {
    std::string recipient_key;
    Nanoseconds ask_at = 0;
    Nanoseconds until = 0;
    Reply<std::uint64_t> done;
  };
  struct Round {
    std::vector<std::string> ended;
    std::vector<Wanted> wanted;
  };

  void run();
  bool wait_for_round(Round& round);
  std::size_t take_due(std::vector<Wanted>& due, Nanoseconds now);
  Nanoseconds next_due() const;
  void ask(Round round);
  Result<PostgresSession::Results> exchange(const Round& round);
  void answer(std::vector<Wanted> wanted, const PostgresSession::Results& results,
              std::size_t first);

  PostgresDoor& door_;
  const Nanoseconds patience_;
  std::unique_ptr<PostgresSession> session_;  // the thread's; null: to be opened
  std::unordered_set<std::string> held_;      // the thread's: recipients whose turn is ours
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> ended_;  // guarded by mutex_
  std::vector<Wanted> wanted_;      // guarded by mutex_
  bool stopping_ = false;           // guarded by mutex_
  std::thread thread_;
};

}  // namespace heddle::messaging
