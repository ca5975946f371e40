// A worker: one thread, one event loop, its timers and its deferred work.
// Everything on the request path belongs to exactly one worker and is touched by its thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"

namespace heddle::net {

class EventLoop;
class TimerQueue;

class Worker {
 public:
  explicit Worker(std::size_t index, Log& log);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  std::size_t index() const { return index_; }
  EventLoop& loop();
  Log& log() { return log_; }

  // Starts the thread (named heddle-worker-N); it runs until stop().
  void start();
  void stop();  // any thread; returns at once
  void join();

  // Instead of start(): lends the worker the calling thread, runs `begin` as an event and then
  // whatever comes until `over` is true, which an event on this thread makes it. One thread at a
  // time; may nest in the events of another worker.
  void run_here(std::move_only_function<void()> begin, const bool& over);

  // Runs `task` on the worker's thread. Any thread may call.
  void post(std::move_only_function<void()> task);

  // Runs `task` when the outermost Scope on the stack ends: how work that must not nest inside its
  // caller is queued (a filter's continue, a connection's flush, a deletion). Worker thread only.
  void defer(std::move_only_function<void()> task);

  // Wraps every entry from the event loop (a socket, a timer, a post). The outermost one runs what
  // was deferred, then flushes every connection that has something to write: one writev per
  // connection and event.
  class Scope {
   public:
    explicit Scope(Worker& worker) : worker_(worker) {
      if (worker_.depth_++ == 0) worker_.now_ = monotonic_now();
    }
    ~Scope() {
      if (--worker_.depth_ == 0) worker_.finish_scope();
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Worker& worker_;
  };

  // Something with output that is flushed at the end of the scope; intrusive, registering twice is
  // harmless.
  class Flushable {
   public:
    virtual void flush() = 0;
    virtual void flush_turn() {}

   protected:
    ~Flushable() = default;

   private:
    friend class Worker;
    bool flush_queued_ = false;
    bool turn_queued_ = false;
  };
  void queue_flush(Flushable& flushable);
  // Calls flush_turn() before the loop waits again: what the events of a whole turn have to write
  // to one connection (answers of several upstreams to one client of HTTP/2) goes with one call.
  void queue_turn_flush(Flushable& flushable);
  void forget_flush(Flushable& flushable);  // before it is destroyed

  // Monotonic time read once per event.
  Nanoseconds now() const { return now_; }
  TimerQueue& timers() { return *timers_; }

  static Worker* current();  // the worker of this thread, or null

  // What a service keeps with a worker (a pool of connections): made by the service on its first
  // use there, destroyed with the worker, when its thread has ended and its loop still stands; the
  // ones with later keys first.
  class Local {
   public:
    virtual ~Local() = default;
  };
  using LocalKey = std::uint64_t;
  static LocalKey new_local_key();  // any thread
  Local* find_local(LocalKey key);  // null: none; worker thread only
  void keep_local(LocalKey key, std::unique_ptr<Local> local);

 private:
  friend class Scope;
  void finish_scope();
  void finish_turn();
  void run();

  std::size_t index_;
  Log& log_;
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::unique_ptr<TimerQueue> timers_;
  std::vector<std::move_only_function<void()>> deferred_;
  std::vector<Flushable*> flush_;  // null: forgotten
  std::vector<Flushable*> turn_flush_;
  std::map<LocalKey, std::unique_ptr<Local>> locals_;
  int depth_ = 0;
  Nanoseconds now_ = 0;
  std::thread thread_;
};

}  // namespace heddle::net
