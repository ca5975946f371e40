#include "contracts/route/worker_guests.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace heddle::route {
namespace {

// Of the cleanup() of all idle instances together, when the worker or the version ends.
constexpr Nanoseconds kLastWords = 100'000'000;

}  // namespace

// One job and, once it has one, its instance. Goes by way of the worker's deferred work, as its own
// callbacks end it.
struct WorkerGuests::Run {
  Id id = 0;
  Job job;
  Done done;  // null: answered or cancelled
  std::unique_ptr<Guest> guest;
  net::Timer timer;
};

class WorkerGuests::WorkerLoop final : public sandbox::Loop {
 public:
  explicit WorkerLoop(net::Worker& worker) : worker_(worker) {}
  void post(std::move_only_function<void()> task) override {
    if (draining_) return tasks_.push_back(std::move(task));
    worker_.post(std::move(task));
  }
  // What is posted within is done here and now, until `until` holds or nothing is left.
  template <typename Task, typename Until>
  void drain(Task task, Until until) {
    draining_ = true;
    task();
    while (!until() && !tasks_.empty()) {
      auto next = std::move(tasks_.front());
      tasks_.pop_front();
      next();
    }
    tasks_.clear();
    draining_ = false;
  }

 private:
  net::Worker& worker_;
  bool draining_ = false;
  std::deque<std::move_only_function<void()>> tasks_;
};

WorkerGuests::WorkerGuests(Runtime& runtime, std::shared_ptr<const sandbox::LinkedModule> linked,
                           net::Worker& worker)
    : runtime_(runtime),
      linked_(std::move(linked)),
      worker_(worker),
      loop_(std::make_unique<WorkerLoop>(worker)),
      self_(std::make_shared<WorkerGuests*>(this)),
      keeper_(runtime.slot_line(), [this, &worker, self = std::weak_ptr(self_)] {
        worker.post([this, self] {
          if (!self.expired()) give_up_idle();
        });
      }) {}

WorkerGuests::~WorkerGuests() {
  self_.reset();
  runs_.clear();
  const Nanoseconds deadline = monotonic_now() + kLastWords;
  std::size_t cut = 0;
  for (Idle& idle : idle_) {
    if (!close_now(*idle.guest, deadline)) ++cut;
  }
  if (cut == 0) return;
  runtime_.record().line(
      LogLevel::kWarn,
      fmt::format("{} instances ended before their cleanup() did: it waits, or takes long", cut),
      {});
}

WorkerGuests::Id WorkerGuests::run(Job job, Done done) {
  const Id id = next_++;
  auto run = std::make_unique<Run>();
  run->id = id;
  run->job = std::move(job);
  run->done = std::move(done);
  run->timer.arm(worker_.timers(), run->job.timeout, [this, id] {
    const auto found = runs_.find(id);
    if (found == runs_.end()) return;
    runtime_.record().limit_hit("timeout");
    const auto timeout = found->second->job.timeout.count();
    std::string message =
        found->second->guest != nullptr
            ? fmt::format("the plugin did not answer within {} ms (timeout)", timeout)
            : fmt::format(
                  "no instance of the plugin was free within {} ms (timeout): as many "
                  "are in use as max_instances or engine.suspendable_instances permit",
                  timeout);
    runtime_.record().line(LogLevel::kError, message, found->second->job.request_id);
    runtime_.record().error("timeout", message);
    Run& late = *found->second;
    late.guest.reset();
    leave_queue(id);
    finish(late, std::unexpected(
                     Failure{.status = 504, .code = "timeout", .message = std::move(message)}));
  });
  runs_.emplace(id, std::move(run));
  worker_.defer([this, id, self = std::weak_ptr(self_)] {
    if (!self.expired()) begin(id);
  });
  return id;
}

void WorkerGuests::cancel(Id id) {
  const auto found = runs_.find(id);
  if (found == runs_.end() || found->second->done == nullptr) return;
  found->second->done = nullptr;
  found->second->guest.reset();
  leave_queue(id);
  drop(id);
}

void WorkerGuests::leave_queue(Id id) {
  std::erase(waiting_, id);
  if (waiting_.empty()) slot_place_.reset();
}

bool WorkerGuests::enough_instances() const {
  const auto& spec = runtime_.spec();
  if (spec.max_instances == 0) return false;
  const auto busy = std::ranges::count_if(
      runs_, [](const auto& entry) { return entry.second->guest != nullptr; });
  return static_cast<std::size_t>(busy) + idle_.size() >= spec.max_instances;
}

void WorkerGuests::begin(Id id) {
  const auto found = runs_.find(id);
  if (found == runs_.end() || found->second->done == nullptr) return;
  Run& run = *found->second;
  if (!idle_.empty()) {
    run.guest = std::move(idle_.back().guest);
    idle_.pop_back();
    keeper_.keeps(idle_.size());
    run.guest->set_timeout(run.job.timeout);
    return work(run);
  }
  const bool enough = enough_instances();
  const std::uint64_t seen = runtime_.slot_line().given_back();
  tried_ = tried_ || !enough;
  auto made = enough ? fail(ErrorKind::kLimit,
                            fmt::format("all {} instances of the plugin on this worker are busy "
                                        "(max_instances)",
                                        runtime_.spec().max_instances))
                     : Guest::create(runtime_, linked_, worker_, *loop_);
  if (made) {
    run.guest = std::move(*made);
    run.guest->set_timeout(run.job.timeout);
    run.guest->start([this, &run](Outcome<void> outcome) { started(run, std::move(outcome)); });
    return;
  }
  if (made.error().kind == ErrorKind::kLimit && waiting_.size() < kMaxWaiting) {
    waiting_.push_back(id);
    if (!enough && slot_place_ == nullptr) wait_for_slot(seen);
    return;
  }
  runtime_.record().limit_hit("instances");
  runtime_.record().line(LogLevel::kWarn, made.error().message, run.job.request_id);
  finish(run, std::unexpected(failure_of(made.error())));
}

// Each is tried once; those who find no instance queue up again.
void WorkerGuests::begin_waiting() {
  const std::size_t count = waiting_.size();
  for (std::size_t i = 0; i < count && !waiting_.empty(); ++i) {
    const Id id = waiting_.front();
    waiting_.pop_front();
    const std::size_t before = waiting_.size();
    begin(id);
    if (waiting_.size() > before) {  // still none
      waiting_.push_front(waiting_.back());
      waiting_.pop_back();
      break;
    }
  }
}

void WorkerGuests::wait_for_slot(std::uint64_t seen) {
  slot_place_ = runtime_.slot_line().queue(
      seen, [this, &worker = worker_, self = std::weak_ptr(self_)]() mutable {
        worker.post([this, self = std::move(self)] {
          if (self.expired()) return;
          const auto place = std::move(slot_place_);
          if (place == nullptr) return;  // left meanwhile
          tried_ = false;
          begin_waiting();
          if (tried_) place->use();
        });
      });
}

void WorkerGuests::started(Run& run, Outcome<void> outcome) {
  if (outcome) return work(run);
  finish(run, std::unexpected(std::move(outcome.error())));
}

void WorkerGuests::work(Run& run) {
  switch (run.job.kind) {
    case Job::Kind::kStartOnly:
      return finish(run, JobResult(std::int32_t{0}));
    case Job::Kind::kExecute:
      return run.guest->execute([this, &run](Outcome<std::int32_t> result) {
        finish(run, result ? Outcome<JobResult>(*result)
                           : Outcome<JobResult>(std::unexpected(std::move(result.error()))));
      });
    case Job::Kind::kHandler:
      run.guest->handle(run.job.handler, std::move(run.job.input), run.job.request_id,
                        [this, &run](Outcome<HandlerResponse> response) {
                          if (response) return finish(run, JobResult(std::move(*response)));
                          finish(run, std::unexpected(std::move(response.error())));
                        });
  }
}

// The answer goes first; then the instance gets ready for the next job, or ends.
void WorkerGuests::finish(Run& run, Outcome<JobResult> outcome) {
  run.timer.cancel();
  auto done = std::exchange(run.done, nullptr);
  worker_.defer([this, id = run.id, self = std::weak_ptr(self_), done = std::move(done),
                 outcome = std::move(outcome)]() mutable {
    if (done) done(std::move(outcome));
    if (self.expired()) return;
    const auto found = runs_.find(id);
    if (found == runs_.end()) return;
    auto guest = std::move(found->second->guest);
    runs_.erase(found);
    if (guest != nullptr) put_back(std::move(guest));
    if (!waiting_.empty()) begin_waiting();
  });
}

void WorkerGuests::put_back(std::unique_ptr<Guest> guest) {
  const auto& spec = runtime_.spec();
  const bool goes_on = spec.reuse_instances && guest->usable() &&
                       (spec.max_requests == 0 || guest->served() < spec.max_requests);
  if (!goes_on) return close(std::move(guest));
  Run& run = run_on(std::move(guest));
  run.guest->tidy([this, id = run.id] {
    worker_.defer([this, id, self = std::weak_ptr(self_)] {
      if (self.expired()) return;
      const auto found = runs_.find(id);
      if (found == runs_.end() || found->second->guest == nullptr) return;
      auto tidied = std::move(found->second->guest);
      runs_.erase(found);
      if (tidied->usable()) keep(std::move(tidied));
      if (!waiting_.empty()) begin_waiting();
    });
  });
}

// A job without an answer to wait for, which has the instance while it tidies up or ends.
WorkerGuests::Run& WorkerGuests::run_on(std::unique_ptr<Guest> guest) {
  const auto timeout = runtime_.spec().timeout;
  const Id id = next_++;
  auto run = std::make_unique<Run>();
  run->id = id;
  run->guest = std::move(guest);
  run->guest->set_timeout(timeout);
  run->timer.arm(worker_.timers(), std::max(timeout, std::chrono::milliseconds(1)), [this, id] {
    if (const auto found = runs_.find(id); found != runs_.end()) {
      found->second->guest.reset();
      drop(id);
    }
  });
  return *runs_.emplace(id, std::move(run)).first->second;
}

void WorkerGuests::keep(std::unique_ptr<Guest> guest) {
  idle_.push_back({std::move(guest), monotonic_now()});
  keeper_.keeps(idle_.size());
  if (runtime_.slot_line().another_waits(slot_place_.get())) return close_oldest();
  // It was this plugin's turn. Who waits here still queues up behind the others.
  slot_place_.reset();
  if (!idle_timer_.armed()) {
    idle_timer_.arm(worker_.timers(), runtime_.spec().instance_idle, [this] { drop_idle(); });
  }
}

void WorkerGuests::close(std::unique_ptr<Guest> guest) {
  Run& run = run_on(std::move(guest));
  run.guest->close([this, id = run.id] { drop(id); });
}

// The oldest are at the front, as the last one put back is the next one used.
void WorkerGuests::close_oldest() {
  auto oldest = std::move(idle_.front().guest);
  idle_.erase(idle_.begin());
  keeper_.keeps(idle_.size());
  close(std::move(oldest));
}

void WorkerGuests::give_up_idle() {
  if (!runtime_.slot_line().another_waits(nullptr)) return;
  if (idle_.empty()) return runtime_.slot_line().ask_a_keeper();
  close_oldest();
}

void WorkerGuests::drop(Id id) {
  worker_.defer([this, id, self = std::weak_ptr(self_)] {
    if (self.expired()) return;
    runs_.erase(id);
    if (!waiting_.empty()) begin_waiting();
  });
}

void WorkerGuests::drop_idle() {
  const Nanoseconds oldest = monotonic_now() - to_nanoseconds(runtime_.spec().instance_idle);
  while (!idle_.empty() && idle_.front().since <= oldest) close_oldest();
  if (!idle_.empty()) {
    idle_timer_.arm(worker_.timers(), runtime_.spec().instance_idle, [this] { drop_idle(); });
  }
}

// Whether cleanup() came to its end.
bool WorkerGuests::close_now(Guest& guest, Nanoseconds deadline) {
  if (monotonic_now() >= deadline) return false;
  bool closed = false;
  loop_->drain([&] { guest.close([&] { closed = true; }); },
               [&] { return closed || monotonic_now() >= deadline; });
  return closed;
}

}  // namespace heddle::route
