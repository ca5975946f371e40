// Readiness of a worker's connections: one edge-triggered epoll set, itself watched by the worker's
// io_context.
//
// Asio's own readiness costs a recv that finds nothing per read (it cannot know that a short read
// emptied the socket, since it does not watch for EPOLLRDHUP): 5 to 8 % of a proxied request.
// Accepting, timers and posts stay with Asio. Private to this folder; worker thread only.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace heddle::net {

class Worker;

class Poller {
 public:
  class Target {
   public:
    virtual void on_events(
        std::uint32_t events) = 0;  // epoll bits; 0: what request_call() asked for

   protected:
    ~Target() = default;

   private:
    friend class Poller;
    bool call_requested_ = false;
  };

  explicit Poller(Worker& worker);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Watches `fd` for everything, by edges, until it is closed. False when the kernel refuses.
  bool add(int fd, Target& target);
  // Calls on_events(0) as an event of its own.
  void request_call(Target& target);
  // Nothing more is called; before the descriptor is closed or the target destroyed.
  void forget(Target& target);

 private:
  struct Impl;
  static constexpr int kBatch = 128;

  void wait();
  void run();
  int run_events();
  void run_requested();

  Worker& worker_;
  std::unique_ptr<Impl> impl_;
  int fd_ = -1;
  std::array<epoll_event, kBatch> events_;
  int event_count_ = 0;  // of the batch being worked off
  std::vector<Target*> requested_;
  std::vector<Target*> running_;
  bool in_run_ = false;
};

}  // namespace heddle::net
