#include "library/seats.h"

#include <fmt/format.h>

#include <system_error>

namespace heddle::library {

Result<Seats::Seat> Seats::take(bool wait) {
  std::size_t index = 0;
  {
    std::unique_lock lock(mutex_);
    if (wait) returned_.wait(lock, [&] { return !free_.empty() || made_ < most_; });
    if (!free_.empty()) {
      Seat out(*this, std::move(free_.back()));  // the one whose memory is warm
      free_.pop_back();
      return out;
    }
    if (made_ >= most_) {
      return heddle::fail(heddle::ErrorKind::kLimit,
                          fmt::format("{} callers run plugins already", most_));
    }
    index = first_index_ + made_++;
  }
  return make(index);
}

Result<Seats::Seat> Seats::make(std::size_t index) {
  try {
    return Seat(*this, std::make_unique<net::Worker>(index, log_));
  } catch (const std::system_error& failure) {
    const std::lock_guard lock(mutex_);
    --made_;
    return heddle::fail(heddle::ErrorKind::kUnavailable,
                        fmt::format("cannot make an event loop: {}", failure.what()));
  }
}

void Seats::give_back(std::unique_ptr<net::Worker> worker) {
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(worker));
  }
  returned_.notify_one();
}

}  // namespace heddle::library
