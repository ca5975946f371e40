// What a coroutine waits at for news: a long-poll for a message, a stream for something to push.
// Worker thread only, but for Hub::notify.
#pragma once

#include <chrono>
#include <coroutine>
#include <memory>
#include <utility>

#include "net/timer.h"
#include "net/worker.h"

namespace heddle::messaging {

// Ringing while nobody waits is remembered for the next wait.
class Bell : public std::enable_shared_from_this<Bell> {
 public:
  explicit Bell(net::Worker& worker) : worker_(worker) {}

  net::Worker& worker() { return worker_; }

  void ring() {
    rung_ = true;
    wake();
  }
  // Rings for ever: whoever waits here is to stop.
  void close() {
    closed_ = true;
    wake();
  }
  bool closed() const { return closed_; }

  // co_await bell.wait(time): until the bell rings or the time is over. One waits at a time.
  class Wait {
   public:
    Wait(Bell& bell, std::chrono::nanoseconds at_most) : bell_(bell), at_most_(at_most) {}
    bool await_ready() const noexcept { return bell_.rung_ || bell_.closed_; }
    void await_suspend(std::coroutine_handle<> waiting) {
      bell_.waiting_ = waiting;
      bell_.timer_.arm(bell_.worker_.timers(), at_most_, [bell = &bell_] {
        const net::Worker::Scope scope(bell->worker_);
        bell->wake();
      });
    }
    void await_resume() noexcept { bell_.rung_ = false; }

   private:
    Bell& bell_;
    std::chrono::nanoseconds at_most_;
  };
  Wait wait(std::chrono::nanoseconds at_most) { return {*this, at_most}; }

 private:
  void wake() {
    if (!waiting_) return;
    // As an event of its own: the caller may be a timer of this bell, or stand within a message.
    worker_.defer([self = shared_from_this(), waiting = std::exchange(waiting_, nullptr)] {
      self->timer_.cancel();
      waiting.resume();
    });
  }

  net::Worker& worker_;
  net::Timer timer_;
  std::coroutine_handle<> waiting_;
  bool rung_ = false;
  bool closed_ = false;
};

}  // namespace heddle::messaging
