// The instances of one plugin version on one worker, and the jobs that they do. `fresh`: each job
// gets an instance of its own. `reuse`: an instance goes on to the next job, until it failed, has
// served max_requests, was idle for too long, or others wait for its slot. Worker thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "contracts/route/guest.h"
#include "net/timer.h"
#include "net/worker.h"

namespace heddle::route {

struct Job {
  enum class Kind : std::uint8_t { kHandler, kExecute, kStartOnly };
  Kind kind = Kind::kHandler;
  std::string handler;
  std::string input;
  std::string request_id;
  std::chrono::milliseconds timeout{0};  // wall, from the call of run()
};

// Of kExecute: what it returned, of kStartOnly: 0.
using JobResult = std::variant<HandlerResponse, std::int32_t>;

class WorkerGuests {
 public:
  using Id = std::uint64_t;
  using Done = std::move_only_function<void(Outcome<JobResult>)>;
  static constexpr std::size_t kMaxWaiting = 1'000;  // jobs that wait for an instance

  WorkerGuests(Runtime& runtime, std::shared_ptr<const sandbox::LinkedModule> linked,
               net::Worker& worker);
  // There is no later: cleanup() of the idle ones may compute for a moment, and wait for nothing.
  ~WorkerGuests();
  WorkerGuests(const WorkerGuests&) = delete;
  WorkerGuests& operator=(const WorkerGuests&) = delete;

  // `done` comes once, later, unless the job is cancelled.
  Id run(Job job, Done done);
  void cancel(Id id);

  net::Worker& worker() const { return worker_; }
  std::size_t idle() const { return idle_.size(); }
  std::size_t running() const { return runs_.size(); }

 private:
  struct Run;
  class WorkerLoop;
  struct Idle {
    std::unique_ptr<Guest> guest;
    Nanoseconds since = 0;
  };

  void begin(Id id);
  void begin_waiting();
  // Asks to be woken when another worker or plugin gives an instance back.
  void wait_for_slot(std::uint64_t seen);
  void leave_queue(Id id);
  bool enough_instances() const;
  void started(Run& run, Outcome<void> outcome);
  void work(Run& run);
  void finish(Run& run, Outcome<JobResult> outcome);
  void put_back(std::unique_ptr<Guest> guest);
  Run& run_on(std::unique_ptr<Guest> guest);
  void keep(std::unique_ptr<Guest> guest);
  void close(std::unique_ptr<Guest> guest);
  void close_oldest();
  void drop(Id id);
  void drop_idle();
  // Somebody waits for an instance, and this may have one that is idle.
  void give_up_idle();
  bool close_now(Guest& guest, Nanoseconds deadline);

  Runtime& runtime_;
  std::shared_ptr<const sandbox::LinkedModule> linked_;
  net::Worker& worker_;
  std::unique_ptr<WorkerLoop> loop_;
  std::shared_ptr<WorkerGuests*> self_;  // for what the worker does later
  Id next_ = 1;
  std::map<Id, std::unique_ptr<Run>> runs_;
  std::deque<Id> waiting_;
  std::vector<Idle> idle_;
  bool tried_ = false;  // since it was last woken: to make an instance
  std::unique_ptr<sandbox::SlotLine::Place> slot_place_;  // null: it is not in the line
  net::Timer idle_timer_;
  sandbox::SlotLine::Keeper keeper_;
};

}  // namespace heddle::route
