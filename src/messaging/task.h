// Coroutines of the message service: a request is a chain of waits (hashing, storage, hooks) that
// reads from top to bottom.
//
// A Task starts when it is awaited and runs on the worker that awaits it; spawn() starts one whose
// end nobody waits for. A Task that is never awaited never runs. Parameters are taken by value, as
// the frame outlives the call.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "net/worker.h"

namespace heddle::messaging {

template <typename T>
class Task;

namespace internal {

struct PromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  struct Final {
    bool await_ready() noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      return self.promise().continuation;
    }
    void await_resume() noexcept {}
  };
  std::suspend_always initial_suspend() noexcept { return {}; }
  Final final_suspend() noexcept { return {}; }
  // Expected failures are Results; what is thrown all the same is a defect.
  [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
};

template <typename T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <typename U>
  void return_value(U&& from) {
    value.emplace(std::forward<U>(from));
  }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() noexcept {}
  void take() {}
};

}  // namespace internal

template <typename T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) noexcept {
    handle_.promise().continuation = waiting;
    return handle_;
  }
  T await_resume() { return handle_.promise().take(); }

 private:
  Handle handle_;
};

namespace internal {

template <typename T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

// The frame that owns a spawned task; frees itself at the end.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };
};

}  // namespace internal

// Runs `task` up to its first wait, and the rest when what it waits for is there.
inline void spawn(Task<void> task) {
  [](Task<void> owned) -> internal::Detached { co_await owned; }(std::move(task));
}

// Waits for a callback that may come on any thread: co_await Answer<T>(worker, [&](auto done) {…}).
// `start` is called at once; the coroutine goes on on `worker`, as an event of its own.
template <typename T>
class [[nodiscard]] Answer {
 public:
  using Done = std::move_only_function<void(T)>;

  Answer(net::Worker& worker, std::move_only_function<void(Done)> start)
      : worker_(worker), start_(std::move(start)) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    // Moved out first: the answer may resume the coroutine, which destroys this, before start()
    // has returned on its own thread.
    auto start = std::move(start_);
    start([&worker = worker_, out = &value_, waiting](T value) mutable {
      worker.post([out, waiting, moved = std::move(value)]() mutable {
        out->emplace(std::move(moved));
        waiting.resume();
      });
    });
  }
  T await_resume() { return std::move(*value_); }

 private:
  net::Worker& worker_;
  std::move_only_function<void(Done)> start_;
  std::optional<T> value_;
};

}  // namespace heddle::messaging
