// How many calls of one plugin run at a time; the others wait in their order, up to a bound. Any
// thread.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"

namespace heddle::library {

class Gate {
 public:
  // Called once, when it is the call's turn: from leave(), on the thread of the call that ended.
  struct Waiter {
    std::move_only_function<void()> go;
  };
  enum class Entry : std::uint8_t { kEntered, kQueued, kRefused };

  Gate(std::size_t most, std::size_t queued) : most_(most), most_queued_(queued) {}

  // kEntered: run now. kQueued: `waiter` is told.
  Entry enter(const std::shared_ptr<Waiter>& waiter);
  // Only if it need not wait.
  bool try_enter();
  // Waits for its turn; false: refused.
  bool enter_and_wait();
  // A call that entered is over.
  void leave();
  // True: it waited still, and will not be told.
  bool withdraw(const std::shared_ptr<Waiter>& waiter);

  std::size_t queued() const;
  std::size_t most() const { return most_; }
  std::size_t most_queued() const { return most_queued_; }

 private:
  const std::size_t most_;
  const std::size_t most_queued_;
  mutable std::mutex mutex_;
  std::size_t running_ = 0;
  std::deque<std::shared_ptr<Waiter>> queue_;
};

}  // namespace heddle::library
