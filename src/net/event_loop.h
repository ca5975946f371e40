// The event loop of a worker: epoll, edge-triggered, and the tasks that are posted to it.
//
// A descriptor is registered once for its life, with a Watcher that hears of every change. A
// watcher that knows to be ready already (more to read, an error to report) asks for a turn with
// run_ready(). So a connection costs one system call for each read and none for waiting: a read
// that came short has emptied the socket, and the next edge tells of more.
//
// post(), stop() and wake() may be called from any thread, everything else from the loop's.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "net/socket.h"

namespace heddle::net {

class EventLoop {
 public:
  class Watcher {
   public:
    virtual void on_events(std::uint32_t events) = 0;  // EPOLLIN, EPOLLOUT, EPOLLRDHUP, …
    virtual void on_ready() {}                         // after run_ready()

   protected:
    ~Watcher() = default;

   private:
    friend class EventLoop;
    bool ready_queued_ = false;
  };

  // What happens beside descriptors.
  class Host {
   public:
    virtual void on_timer() = 0;  // the time of set_timer() has come
    virtual void run_task(std::move_only_function<void()>& task) = 0;
    virtual void on_turn_end() = 0;  // nothing more is to do; the loop waits next

   protected:
    ~Host() = default;
  };

  explicit EventLoop(Host& host);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop() = default;

  // Runs until stop(); what was posted and did not run is destroyed with the loop.
  void run();
  // Lends the loop the calling thread: from here to the end of the guard it is the loop's thread.
  // For loops that are not run(); one thread at a time.
  class Borrowed {
   public:
    explicit Borrowed(EventLoop& loop);
    ~Borrowed();
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;

   private:
    const EventLoop* before_;
  };
  // While it is borrowed: runs until something that runs makes `over` true.
  void run_until(const bool& over);
  void stop();
  void post(std::move_only_function<void()> task);

  // 0, or errno. `events` as of epoll_ctl(2); streams add EPOLLET.
  int add(int fd, std::uint32_t events, Watcher& watcher);
  // The watcher hears nothing more, not even what this batch of events holds for it.
  void remove(int fd, Watcher& watcher);

  // Calls on_ready() in this turn of the loop, or in the next if one is just running.
  void run_ready(Watcher& watcher);
  // Replaces an earlier time.
  void set_timer(Nanoseconds when) { timer_ = when; }

 private:
  static constexpr std::size_t kBatch = 128;

  int run_timer();  // when it is due; ends the turn, returns the milliseconds to wait for events
  void wait(int timeout_ms);
  void dispatch();
  void run_tasks();
  void run_ready_list();
  bool on_loop_thread() const;
  void wake();

  Host& host_;
  Fd epoll_;
  Fd wake_fd_;
  std::array<epoll_event, kBatch> events_;
  std::size_t event_count_ = 0;
  std::size_t event_next_ = 0;
  std::vector<Watcher*> ready_;  // null: removed
  std::vector<Watcher*> ready_now_;
  Nanoseconds timer_ = 0;      // 0: none
  bool remote_waits_ = false;  // another thread posted something

  std::vector<std::move_only_function<void()>> local_tasks_;  // posted by the loop's own thread
  std::vector<std::move_only_function<void()>> running_tasks_;
  std::mutex mutex_;
  std::vector<std::move_only_function<void()>> remote_tasks_;  // guarded by mutex_
  std::atomic<bool> woken_ = false;                            // wake_fd_ was written and not read
  std::atomic<bool> stopped_ = false;
};

}  // namespace heddle::net
