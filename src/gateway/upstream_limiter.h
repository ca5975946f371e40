// Most requests at a time of an upstream, over all workers, and the line of those that wait for one
// to end, first come first served whatever worker they are on.
//
// Any thread; a lock is taken only while requests wait or must.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace heddle::net {
class Worker;
}

namespace heddle::gateway {

class RequestLimiter : public std::enable_shared_from_this<RequestLimiter> {
 public:
  // A place in the line. `granted` runs on `worker` with a right to go, unless leave() came first.
  struct Waiter {
    net::Worker& worker;
    std::function<void()> granted;
  };
  enum class Verdict : std::uint8_t { kGo, kWait, kFull };

  // kGo: the caller calls release() at the end. kWait: a waiter that `make` gave stands in line.
  // A `max` of 0 is no limit: kGo, and nothing is counted or released.
  Verdict enter(std::uint32_t max, std::uint32_t max_waiting,
                const std::function<std::shared_ptr<Waiter>()>& make);
  void leave(const std::shared_ptr<Waiter>& waiter);  // on its worker
  void release();

  std::size_t waiting() const { return waiting_.load(); }

 private:
  bool take(std::uint32_t max);
  void hand_over(std::shared_ptr<Waiter> waiter);

  std::atomic<std::uint32_t> active_{0};
  std::atomic<std::uint32_t> waiting_{0};
  std::mutex mutex_;
  std::deque<std::shared_ptr<Waiter>> line_;  // guarded by mutex_
};

}  // namespace heddle::gateway
