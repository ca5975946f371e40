#include "contracts/native_hook/child_keeper.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "contracts/native_hook/memory_file.h"
#include "net/worker.h"

namespace heddle::native_hook {

using extension::Verdict;

namespace {

constexpr Nanoseconds kEndLimit = 5'000'000'000;  // of on_shutdown and of destroy

}  // namespace

ChildKeeper::ChildKeeper(Options options, std::shared_ptr<extension::PluginRecord> record)
    : options_(std::move(options)),
      record_(std::move(record)),
      restarts_(record_->registry().counter(
          "heddle_plugin_restarts_total",
          "Child processes of native plugins that were started in place of one that had ended.",
          {{"plugin", options_.plugin}})) {}

Result<std::unique_ptr<ChildKeeper>> ChildKeeper::create(
    Options options, std::span<const std::byte> file,
    std::shared_ptr<extension::PluginRecord> record) {
  std::unique_ptr<ChildKeeper> out(new ChildKeeper(std::move(options), std::move(record)));
  auto copy = make_memory_file(out->options_.plugin, file);
  if (!copy) return std::unexpected(std::move(copy.error()));
  out->plugin_file_ = std::move(*copy);
  out->bell_ = net::Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!out->bell_) return system_error("no file descriptor is left for its child process");
  std::promise<Result<void>> first;
  auto done = first.get_future();
  out->thread_ = std::thread([keeper = out.get(), promise = std::move(first)]() mutable {
    keeper->run(std::move(promise));
  });
  if (auto begun = done.get(); !begun) return std::unexpected(std::move(begun.error()));
  return out;
}

ChildKeeper::~ChildKeeper() {
  shut_down();
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    if (state_ != State::kDown) {
      const std::uint64_t id = queue_.next_id();
      push({.id = id,
            .slot = Slot::kDestroy,
            .record = write_call(id, Slot::kDestroy),
            .limit = kEndLimit,
            .deadline = CallQueue::kNever});
    }
  }
  ring();
  if (thread_.joinable()) thread_.join();
}

bool ChildKeeper::ask(net::Worker& worker, const extension::MessageEvent& event,
                      extension::VerdictReceiver& receiver) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = queue_.next_id();
  const Nanoseconds limit = options_.timeout.count();
  return push({.id = id,
               .slot = Slot::kMessageEnqueue,
               .record = write_call(id, event),
               .limit = limit,
               .deadline = monotonic_now() + limit,
               .worker = &worker,
               .receiver = &receiver});
}

void ChildKeeper::tell(const extension::HookEvent& event) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = queue_.next_id();
  const Nanoseconds limit = options_.timeout.count();
  push({.id = id,
        .slot = slot_at(extension::moment_of(event)),
        .record = write_call(id, event),
        .limit = limit,
        .deadline = monotonic_now() + limit});
}

void ChildKeeper::shut_down() {
  std::future<void> over;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(shut_down_, true) || !has(slots_, Slot::kShutdown)) return;
    auto end = std::make_shared<std::promise<void>>();
    over = end->get_future();
    const std::uint64_t id = queue_.next_id();
    if (!push({.id = id,
               .slot = Slot::kShutdown,
               .record = write_call(id, Slot::kShutdown),
               .limit = kEndLimit,
               .deadline = CallQueue::kNever,
               .end = std::move(end)})) {
      return;
    }
  }
  over.wait();
}

bool ChildKeeper::push(PendingCall call) {
  if (state_ == State::kDown) return false;
  const bool must_come = call.slot == Slot::kShutdown || call.slot == Slot::kDestroy;
  if ((queue_.full() && !must_come) || call.record.size() > kMaxRecord) {
    record_->limit_hit("queue");
    return false;
  }
  queue_.push(std::move(call));
  if (state_ == State::kReady) send();
  if (std::exchange(asleep_, false)) ring();
  return true;
}

void ChildKeeper::send() {
  RingWriter& ring = child_->calls();
  if (queue_.send(ring, monotonic_now()) && ring.must_wake()) ring.wake();
}

void ChildKeeper::ring() {
  constexpr std::uint64_t kOne = 1;
  static_cast<void>(write(bell_.get(), &kOne, sizeof kOne));
}

void ChildKeeper::deliver(PendingCall& call, Verdict verdict) {
  if (auto* receiver = std::exchange(call.receiver, nullptr)) {
    call.worker->post([receiver, given = std::move(verdict)]() mutable {
      receiver->on_verdict(std::move(given));
    });
  }
  if (call.end != nullptr) call.end->set_value();
  call.end.reset();
}

// Nobody waits for a child that is not there.
void ChildKeeper::give_up() {
  state_ = State::kDown;
  for (PendingCall& call : queue_.take_all()) deliver(call, options_.failure.verdict);
}

std::size_t ChildKeeper::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  return child_ == nullptr ? 0 : child_->memory_bytes();
}

}  // namespace heddle::native_hook
