#include "net/worker.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <iterator>
#include <string>
#include <utility>

#include "base/metrics.h"
#include "net/event_loop.h"
#include "net/timer_queue.h"

namespace heddle::net {
namespace {
thread_local Worker* t_current = nullptr;
constexpr std::size_t kDeferredRun = 1'024;  // tasks that ran before their places are given back
}  // namespace

struct Worker::Impl final : TimerQueue::Host, EventLoop::Host {
  explicit Impl(Worker& owner) : worker(owner) {}

  Nanoseconds precise_now() const override { return monotonic_now(); }
  Nanoseconds event_now() const override {
    return worker.depth_ > 0 ? worker.now_ : monotonic_now();
  }
  void wake_at(Nanoseconds when) override { loop.set_timer(when); }
  void on_timer() override {
    const Scope scope(worker);
    worker.timers_->fire();
  }
  void run_task(std::move_only_function<void()>& task) override {
    const Scope scope(worker);
    task();
  }
  void on_turn_end() override { worker.finish_turn(); }

  Worker& worker;
  EventLoop loop{*this};
};

Worker::Worker(std::size_t index, Log& log)
    : index_(index),
      log_(log),
      impl_(std::make_unique<Impl>(*this)),
      timers_(std::make_unique<TimerQueue>(*impl_)) {}

Worker::~Worker() {
  stop();
  join();
  // The last made first: it may use an earlier one.
  while (!locals_.empty()) locals_.erase(std::prev(locals_.end()));
}

Worker::LocalKey Worker::new_local_key() {
  static std::atomic<LocalKey> last = 0;
  return ++last;
}

Worker::Local* Worker::find_local(LocalKey key) {
  const auto found = locals_.find(key);
  return found == locals_.end() ? nullptr : found->second.get();
}

void Worker::keep_local(LocalKey key, std::unique_ptr<Local> local) {
  locals_[key] = std::move(local);
}

EventLoop& Worker::loop() {
  return impl_->loop;
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(),
                     ("heddle-worker-" + std::to_string(index_)).substr(0, 15).c_str());
}

void Worker::stop() {
  impl_->loop.stop();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::run() {
  t_current = this;
  metrics::set_thread_shard(index_ + 1);
  for (;;) {
    try {
      impl_->loop.run();
      break;
    } catch (const std::exception& failure) {
      log_.error("an exception reached the worker's loop; this is a defect",
                 {{"what", failure.what()}});
    }
  }
  t_current = nullptr;
}

void Worker::run_here(std::move_only_function<void()> begin, const bool& over) {
  Worker* const before = std::exchange(t_current, this);
  {
    const EventLoop::Borrowed borrowed(impl_->loop);
    {
      const Scope scope(*this);
      begin();
    }
    impl_->loop.run_until(over);
  }
  t_current = before;
}

void Worker::post(std::move_only_function<void()> task) {
  impl_->loop.post(std::move(task));
}

void Worker::defer(std::move_only_function<void()> task) {
  deferred_.push_back(std::move(task));
  if (depth_ == 0) post([] {});  // no scope would end: make one
}

void Worker::queue_flush(Flushable& flushable) {
  if (flushable.flush_queued_) return;
  flushable.flush_queued_ = true;
  flush_.push_back(&flushable);
  if (depth_ == 0) post([] {});
}

void Worker::queue_turn_flush(Flushable& flushable) {
  if (!std::exchange(flushable.turn_queued_, true)) turn_flush_.push_back(&flushable);
}

void Worker::forget_flush(Flushable& flushable) {
  if (std::exchange(flushable.flush_queued_, false)) {
    std::ranges::replace(flush_, &flushable, nullptr);
  }
  if (std::exchange(flushable.turn_queued_, false)) {
    std::ranges::replace(turn_flush_, &flushable, nullptr);
  }
}

void Worker::finish_turn() {
  while (!turn_flush_.empty()) {
    const Scope scope(*this);
    // NOLINTNEXTLINE(modernize-loop-convert): it grows
    for (std::size_t i = 0; i < turn_flush_.size(); ++i) {
      Flushable* const flushable = std::exchange(turn_flush_[i], nullptr);
      if (flushable == nullptr) continue;
      flushable->turn_queued_ = false;
      flushable->flush_turn();
    }
    turn_flush_.clear();
  }
}

void Worker::finish_scope() {
  depth_ = 1;  // what runs here may open scopes of its own
  while (!deferred_.empty() || !flush_.empty()) {
    // Both lists may grow while they are walked; a list is emptied without giving up its memory.
    std::size_t next = 0;
    while (next < deferred_.size()) {
      auto task = std::move(deferred_[next++]);
      task();
      // A chain of tasks, each of which defers the next, must not let the list grow for ever.
      if (next == kDeferredRun) {
        deferred_.erase(deferred_.begin(), deferred_.begin() + kDeferredRun);
        next = 0;
      }
    }
    deferred_.clear();
    // NOLINTNEXTLINE(modernize-loop-convert): it grows while it is walked
    for (std::size_t i = 0; i < flush_.size(); ++i) {
      Flushable* flushable = flush_[i];
      if (flushable == nullptr) continue;
      flush_[i] = nullptr;
      flushable->flush_queued_ = false;
      flushable->flush();
    }
    flush_.clear();
  }
  depth_ = 0;
}

Worker* Worker::current() {
  return t_current;
}

}  // namespace heddle::net
