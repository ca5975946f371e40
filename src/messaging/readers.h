// The threads that read, each with a connection of its own while it does. Any thread may add.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "messaging/storage.h"
#include "net/blocking_pool.h"

namespace heddle::messaging {

// `Connection` says with broken_by(error) whether it is of no more use after an error, and with
// gone() whether it broke since.
template <typename Connection>
class Readers {
 public:
  using ConnectionPtr = std::unique_ptr<Connection>;
  using Open = std::function<Result<ConnectionPtr>()>;
  using OnBroken = std::function<void(const Error&)>;

  // `on_broken` hears of each connection that broke, on the thread that had it.
  Readers(std::size_t threads, Open open, OnBroken on_broken)
      : open_(std::move(open)), on_broken_(std::move(on_broken)), pool_(threads) {}

  void keep(ConnectionPtr connection) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(connection));
  }

  template <typename T>
  void add(std::move_only_function<Result<T>(Connection&)> work, Reply<T> done) {
    pool_.submit([this, work = std::move(work), done = std::move(done)]() mutable {
      auto connection = take();
      if (!connection) return done(unavailable(connection.error()));
      Result<T> out = work(**connection);
      if (out || !(*connection)->broken_by(out.error())) {
        keep(std::move(*connection));
      } else {
        on_broken_(out.error());
        out = unavailable(out.error());
      }
      done(std::move(out));
    });
  }

 private:
  static std::unexpected<Error> unavailable(const Error& error) {
    return fail(ErrorKind::kUnavailable, "the message store cannot be read: " + error.message);
  }

  Result<ConnectionPtr> take() {
    {
      const std::lock_guard lock(mutex_);
      while (!free_.empty()) {
        auto out = std::move(free_.back());
        free_.pop_back();
        if (!out->gone()) return out;
      }
    }
    return open_();
  }

  const Open open_;
  const OnBroken on_broken_;
  std::mutex mutex_;
  std::vector<ConnectionPtr> free_;  // guarded by mutex_
  net::BlockingPool pool_;           // its threads end first
};

}  // namespace heddle::messaging
