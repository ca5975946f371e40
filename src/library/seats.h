// Workers without threads of their own, lent to whoever calls a plugin and waits: the plugin runs
// on the caller's thread, which is cheaper than waking another one twice. Any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "net/worker.h"

namespace heddle::library {

class Seats {
 public:
  // Gives the worker back at its end.
  class Seat {
   public:
    Seat(Seats& owner, std::unique_ptr<net::Worker> worker)
        : owner_(&owner), worker_(std::move(worker)) {}
    Seat(Seat&& other) noexcept = default;
    Seat& operator=(Seat&& other) = delete;
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    ~Seat() {
      if (worker_) owner_->give_back(std::move(worker_));
    }
    net::Worker& worker() const { return *worker_; }

   private:
    Seats* owner_;
    std::unique_ptr<net::Worker> worker_;
  };

  // Workers have the indices from `first_index` on.
  Seats(std::size_t first_index, std::size_t most, Log& log)
      : first_index_(first_index), most_(most), log_(log) {}

  // Waits for one; kLimit when there is none and `wait` is false, kUnavailable when the system has
  // no descriptors for a new one.
  Result<Seat> take(bool wait);

 private:
  Result<Seat> make(std::size_t index);
  void give_back(std::unique_ptr<net::Worker> worker);

  const std::size_t first_index_;
  const std::size_t most_;
  Log& log_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<net::Worker>> free_;
  std::size_t made_ = 0;
};

}  // namespace heddle::library
