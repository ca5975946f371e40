// The keeper's own thread: the life of the child.
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "contracts/native_hook/child_keeper.h"

namespace heddle::native_hook {
namespace {

constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr Nanoseconds kStartLimit = 5'000 * kMillisecond;
constexpr Nanoseconds kFirstPause = 100 * kMillisecond;  // after the second failure in a row
constexpr Nanoseconds kLongestPause = 30'000 * kMillisecond;
constexpr Nanoseconds kGoodLife = 10'000 * kMillisecond;  // a child that lived so long was well
constexpr std::size_t kMaxLine = 4'096;

// The first failure costs no pause.
Nanoseconds pause_after(int failures) {
  constexpr int kMaxShift = 16;
  if (failures <= 1) return 0;
  return std::min(kFirstPause << std::min(failures - 2, kMaxShift), kLongestPause);
}

int poll_time(Nanoseconds until) {
  if (until == CallQueue::kNever) return -1;
  const Nanoseconds left = std::max<Nanoseconds>(until - monotonic_now(), 0);
  return static_cast<int>((left + kMillisecond - 1) / kMillisecond);
}

}  // namespace

void ChildKeeper::run(std::promise<Result<void>> first) {
  pthread_setname_np(pthread_self(), "heddle-hook");
  auto begun = start_child(false);
  const bool good = begun.has_value();
  first.set_value(std::move(begun));
  if (!good) return;
  do {
    serve();
    bury();
  } while (start_anew());
}

Result<void> ChildKeeper::start_child(bool restarting) {
  started_at_ = monotonic_now();
  auto child = ChildProcess::start({.program = options_.program,
                                    .name = options_.plugin,
                                    .plugin_file = plugin_file_,
                                    .bell = bell_,
                                    .environment = options_.environment,
                                    .memory_limit = options_.memory_limit});
  if (!child) return std::unexpected(std::move(child.error()));
  auto slots = started(**child);
  if (!slots) return std::unexpected(std::move(slots.error()));
  const std::lock_guard lock(mutex_);
  if (restarting && *slots != slots_) {
    return fail(ErrorKind::kInvalidArgument, "it fills other slots than when it was first started");
  }
  if (!restarting) slots_ = *slots;
  child_ = std::move(*child);
  state_ = State::kReady;
  record_->instances(1);
  send();
  return {};
}

// What the child says first.
Result<SlotSet> ChildKeeper::started(ChildProcess& child) {
  const Nanoseconds until = started_at_ + kStartLimit;
  std::string record;
  for (bool ended = false;;) {
    const auto there = child.answers().pop(record);
    if (!there) return std::unexpected(there.error());
    if (*there) break;
    if (ended) {
      return fail(ErrorKind::kTrap,
                  "its child process " + child.how_it_ended() + " while the plugin was loaded");
    }
    if (monotonic_now() >= until) {
      return fail(ErrorKind::kTimeout,
                  "qpc_plugin_init did not return within 5 s; its child process was ended");
    }
    ended = wait(child, std::min(until, check_limits()));
  }
  auto answer = read_answer(record);
  if (!answer) return std::unexpected(std::move(answer.error()));
  if (answer->outcome == ChildOutcome::kRefused) {
    return fail(ErrorKind::kInvalidArgument, std::move(answer->text));
  }
  SlotSet slots{};
  if (answer->outcome != ChildOutcome::kStarted || answer->text.size() != slots.size()) {
    return fail(ErrorKind::kInternal, "its child process said something else than that it runs");
  }
  std::ranges::transform(answer->text, slots.begin(), [](char each) { return each == '1'; });
  return slots;
}

void ChildKeeper::serve() {
  auto taken = take_answers();
  bool ended = false;
  while (taken && !ended) {
    ended = wait(*child_, check_limits());
    // It may have answered before it ended.
    taken = take_answers();
  }
  if (!taken) {
    record_->error("protocol", taken.error().message);
    child_->kill();
  }
  while (take_output(*child_)) {
  }
}

Result<void> ChildKeeper::take_answers() {
  std::string record;
  while (true) {
    const auto there = child_->answers().pop(record);
    if (!there) return std::unexpected(there.error());
    if (!*there) return {};
    auto answer = read_answer(record);
    if (!answer) return std::unexpected(std::move(answer.error()));
    const std::lock_guard lock(mutex_);
    auto call = queue_.answered(answer->id, monotonic_now());
    if (!call) return fail(ErrorKind::kInternal, "the child process answered what nobody asked");
    was_busy_ = true;
    finish(std::move(*call), std::move(*answer));
    send();
  }
}

void ChildKeeper::finish(PendingCall call, ChildAnswer answer) {
  record_->call(static_cast<std::size_t>(call.slot), std::max<std::int64_t>(answer.nanoseconds, 0));
  if (call.slot == Slot::kDestroy) destroyed_ = true;
  if (answer.outcome == ChildOutcome::kThrew) {
    record_->error("exception", "a hook threw an exception through its C interface");
    record_->write(LogLevel::kError, "a native plugin threw an exception through its C interface");
    return deliver(call, options_.failure.verdict);
  }
  if (answer.outcome != ChildOutcome::kRejected) return deliver(call, {});
  answer.text.resize(std::min(answer.text.size(), kMaxReason));
  deliver(call, {.allowed = false, .reason = std::move(answer.text), .plugin = options_.plugin});
}

// Lets those go on who have waited long enough, ends a child that takes too long for one call, and
// says when to look again. Between busy moments it looks once more, so that a call that comes soon
// need not wake this thread.
Nanoseconds ChildKeeper::check_limits() {
  const std::lock_guard lock(mutex_);
  const Nanoseconds now = monotonic_now();
  while (PendingCall* call = queue_.expired(now)) {
    if (call->receiver != nullptr && !queue_.is_running(*call)) {
      record_->limit_hit("timeout");
      record_->error("timeout", "a message waited for the plugin longer than its timeout");
    }
    deliver(*call, options_.failure.verdict);
  }
  if (queue_.overdue(now) && !std::exchange(too_slow_, true)) child_->kill();
  if (too_slow_) return CallQueue::kNever;
  if (!queue_.empty()) return queue_.next_check();
  if (std::exchange(was_busy_, false)) return now + options_.timeout.count();
  asleep_ = true;
  return CallQueue::kNever;
}

bool ChildKeeper::wait(ChildProcess& child, Nanoseconds until) {
  if (!child.answers().fall_asleep()) return false;
  std::array<pollfd, 3> files = {{{.fd = bell_.get(), .events = POLLIN, .revents = 0},
                                  {.fd = child.exit_file(), .events = POLLIN, .revents = 0},
                                  {.fd = child.output_file(), .events = POLLIN, .revents = 0}}};
  poll(files.data(), files.size(), poll_time(until));
  child.answers().stay_awake();
  if (files[0].revents != 0) take_bell();
  if (files[2].revents != 0 && !take_output(child)) child.close_output();
  return files[1].revents != 0;
}

// What the plugin prints is its log. Whether there may be more.
bool ChildKeeper::take_output(ChildProcess& child) {
  std::array<char, kMaxLine> bytes;
  const ssize_t count = read(child.output_file(), bytes.data(), bytes.size());
  if (count > 0) output_.append(bytes.data(), static_cast<std::size_t>(count));
  const bool last = count <= 0;
  for (std::size_t end = 0; !output_.empty(); output_.erase(0, end + 1)) {
    end = output_.find('\n');
    if (end == std::string::npos && !last && output_.size() < kMaxLine) return true;
    end = std::min(end, output_.size());
    record_->guest_line(LogLevel::kInfo, std::string_view(output_).substr(0, end));
  }
  return !last;
}

// The child has ended: the call that it was making has failed, the others are made again.
void ChildKeeper::bury() {
  const std::string how = child_->how_it_ended();
  const std::lock_guard lock(mutex_);
  record_->instances(-1);
  state_ = State::kStarting;
  auto interrupted = queue_.interrupted();
  if (!destroyed_) {
    const std::string_view during =
        interrupted ? kSlotNames.at(static_cast<std::size_t>(interrupted->slot)) : "no call";
    std::string what =
        too_slow_ ? fmt::format("{} took longer than its time; its child process was ended", during)
                  : fmt::format("its child process {} during {}", how, during);
    if (too_slow_) record_->limit_hit("timeout");
    record_->write(LogLevel::kError, "plugin failed: " + what,
                   LogField("consequence", options_.failure.consequence));
    record_->error(too_slow_ ? "timeout" : "crash", std::move(what));
  }
  if (interrupted) deliver(*interrupted, options_.failure.verdict);
  too_slow_ = false;
  child_.reset();
  failures_ = monotonic_now() - started_at_ > kGoodLife ? 1 : failures_ + 1;
  if (ending_ || shut_down_) give_up();
}

bool ChildKeeper::start_anew() {
  while (true) {
    if (const Nanoseconds pause = pause_after(failures_); pause > 0) rest(pause);
    {
      const std::lock_guard lock(mutex_);
      if (ending_ || shut_down_) {
        give_up();
        return false;
      }
      state_ = State::kStarting;
    }
    auto begun = start_child(true);
    if (begun) {
      restarts_->add();
      return true;
    }
    ++failures_;
    record_->error("start", begun.error().message);
    record_->write(LogLevel::kError, "the plugin cannot be started anew: " + begun.error().message);
  }
}

void ChildKeeper::rest(Nanoseconds pause) {
  {
    const std::lock_guard lock(mutex_);
    give_up();
  }
  const Nanoseconds until = monotonic_now() + pause;
  while (monotonic_now() < until) {
    {
      const std::lock_guard lock(mutex_);
      if (ending_ || shut_down_) return;
    }
    pollfd file{.fd = bell_.get(), .events = POLLIN, .revents = 0};
    poll(&file, 1, poll_time(until));
    take_bell();
  }
}

void ChildKeeper::take_bell() {
  std::uint64_t count = 0;
  static_cast<void>(read(bell_.get(), &count, sizeof count));
}

}  // namespace heddle::native_hook
