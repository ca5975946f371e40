#include "net/worker.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <exception>
#include <string>
#include <utility>

#include "base/metrics.h"
#include "net/timer_queue.h"

namespace heddle::net {
namespace asio = boost::asio;

namespace {
thread_local Worker* t_current = nullptr;
}  // namespace

struct Worker::Impl final : TimerQueue::Host {
  explicit Impl(Worker& owner) : worker(owner) {}

  Nanoseconds precise_now() const override { return monotonic_now(); }
  Nanoseconds event_now() const override {
    return worker.depth_ > 0 ? worker.now_ : monotonic_now();
  }
  void wake_at(Nanoseconds when) override {
    timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(when)));
    timer.async_wait([this](const boost::system::error_code& error) {
      if (error) return;  // replaced by an earlier one
      const Scope scope(worker);
      worker.timers_->fire();
    });
  }

  Worker& worker;
  asio::io_context io{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>,
                             asio::io_context::executor_type>
      timer{io};
};

Worker::Worker(std::size_t index, Log& log)
    : index_(index),
      log_(log),
      impl_(std::make_unique<Impl>(*this)),
      timers_(std::make_unique<TimerQueue>(*impl_)) {}

Worker::~Worker() {
  stop();
  join();
}

asio::io_context& Worker::io() {
  return impl_->io;
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(),
                     ("heddle-worker-" + std::to_string(index_)).substr(0, 15).c_str());
}

void Worker::stop() {
  impl_->io.stop();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::run() {
  t_current = this;
  metrics::set_thread_shard(index_ + 1);
  for (;;) {
    try {
      impl_->io.run();
      break;
    } catch (const std::exception& failure) {
      log_.error("an exception reached the worker's loop; this is a defect",
                 {{"what", failure.what()}});
    }
  }
  t_current = nullptr;
}

void Worker::post(std::move_only_function<void()> task) {
  asio::post(impl_->io, [this, task = std::move(task)]() mutable {
    const Scope scope(*this);
    task();
  });
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

void Worker::queue_turn(Flushable& flushable) {
  if (flushable.turn_queued_) return;
  flushable.turn_queued_ = true;
  turn_.push_back(&flushable);
  if (turn_.size() == 1) post([this] { run_turn(); });
}

void Worker::run_turn() {
  turn_now_.swap(turn_);
  // NOLINTNEXTLINE(modernize-loop-convert): entries change while it runs
  for (std::size_t i = 0; i < turn_now_.size(); ++i) {
    Flushable* flushable = turn_now_[i];
    if (flushable == nullptr) continue;
    turn_now_[i] = nullptr;
    flushable->turn_queued_ = false;
    flushable->on_turn();
  }
  turn_now_.clear();
}

void Worker::forget_flush(Flushable& flushable) {
  if (std::exchange(flushable.turn_queued_, false)) {
    std::ranges::replace(turn_, &flushable, nullptr);
    std::ranges::replace(turn_now_, &flushable, nullptr);
  }
  if (!flushable.flush_queued_) return;
  flushable.flush_queued_ = false;
  for (Flushable*& entry : flush_) {
    if (entry == &flushable) entry = nullptr;
  }
}

void Worker::finish_scope() {
  depth_ = 1;  // what runs here may open scopes of its own
  while (!deferred_.empty() || !flush_.empty()) {
    // Both lists may grow while they are walked; a list is emptied without giving up its memory.
    for (std::size_t i = 0; i < deferred_.size(); ++i) {  // NOLINT(modernize-loop-convert)
      auto task = std::move(deferred_[i]);
      task();
    }
    deferred_.clear();
    for (std::size_t i = 0; i < flush_.size(); ++i) {  // NOLINT(modernize-loop-convert)
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
