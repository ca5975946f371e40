// What every asynchronous service gives its caller: a handle that cancels, and a callback that
// comes once, as an event of its own, on the worker that asked.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/result.h"
#include "net/worker.h"

namespace heddle::services {

// A call under way. Destroying it cancels: the callback does not come any more. Worker thread only.
class PendingCall {
 public:
  virtual ~PendingCall() = default;
};
using Pending = std::unique_ptr<PendingCall>;

// The way of a result back to the worker, from whatever thread has it. After the caller's handle is
// gone nothing is posted to the worker, which may then be gone too.
template <typename T>
class Completion : public std::enable_shared_from_this<Completion<T>> {
 public:
  using Callback = std::move_only_function<void(Result<T>)>;

  static std::shared_ptr<Completion> create(net::Worker& worker, Callback done) {
    auto out = std::make_shared<Completion>();
    out->worker_ = &worker;
    out->done_ = std::move(done);
    return out;
  }

  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // Any thread; the first result counts.
  void finish(Result<T> result) {
    const std::lock_guard lock(mutex_);
    if (worker_ == nullptr) return;
    std::exchange(worker_, nullptr)
        ->post([self = this->shared_from_this(), value = std::move(result)]() mutable {
          // Moved out first: the callback may destroy the handle.
          if (auto done = std::exchange(self->done_, nullptr)) done(std::move(value));
        });
  }

  // The caller's handle.
  Pending handle() { return std::make_unique<Handle>(this->shared_from_this()); }

 private:
  class Handle final : public PendingCall {
   public:
    explicit Handle(std::shared_ptr<Completion> of) : of_(std::move(of)) {}
    ~Handle() override { of_->cancel(); }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

   private:
    std::shared_ptr<Completion> of_;
  };

  void cancel() {
    cancelled_.store(true, std::memory_order_relaxed);
    Callback dropped = std::exchange(done_, nullptr);
    const std::lock_guard lock(mutex_);
    worker_ = nullptr;
  }

  std::mutex mutex_;
  net::Worker* worker_ = nullptr;  // guarded by mutex_; null: answered or cancelled
  Callback done_;                  // the worker's thread only
  std::atomic<bool> cancelled_ = false;
};

}  // namespace heddle::services
