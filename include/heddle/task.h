// Coroutines: what an asynchronous host method is, and what may await a call.
//
//   host.add_method("lookup", [](heddle::Json params) -> heddle::Task<heddle::Json> {
//     auto found = co_await other_plugin.call_async("find", params);
//     if (!found) co_return std::unexpected(found.error());
//     co_return (*found)["name"];
//   });
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "heddle/json.h"

namespace heddle {
HEDDLE_API_BEGIN

// A coroutine that gives a Result<T>: `co_return` a value or an error. It runs only once it is
// awaited (or a host method is called, which is the same), on the thread that does; after its own
// awaits it goes on wherever those resume it. An exception that leaves it becomes an Error of
// kind kInternal with the exception's text. One owner; destroying a task that has begun and has
// not ended is not allowed.
template <typename T = Json>
class [[nodiscard]] Task {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // co_await std::move(task): Result<T>.
  auto operator co_await() && noexcept {
    struct Awaiter {
      Handle handle;
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
        handle.promise().then = awaiting;
        return handle;
      }
      Result<T> await_resume() { return std::move(*handle.promise().result); }
    };
    return Awaiter{handle_};
  }

 private:
  explicit Task(Handle handle) : handle_(handle) {}
  Handle handle_;
};

template <typename T>
struct Task<T>::promise_type {
  std::optional<Result<T>> result;
  std::coroutine_handle<> then;

  struct Final {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(Handle ended) noexcept {
      return ended.promise().then ? ended.promise().then : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };

  Task get_return_object() { return Task(Handle::from_promise(*this)); }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  Final final_suspend() const noexcept { return {}; }
  template <typename U = T>
    requires std::constructible_from<Result<T>, U&&>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  void unhandled_exception() noexcept {
    try {
      throw;
    } catch (const std::exception& failure) {
      result.emplace(
          std::unexpected(Error{.kind = ErrorKind::kInternal, .message = failure.what()}));
    } catch (...) {
      result.emplace(
          std::unexpected(Error{.kind = ErrorKind::kInternal, .message = "an unknown exception"}));
    }
  }
};

namespace internal {

// A coroutine of its own that nobody awaits.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

}  // namespace internal

// Runs the task from here on; `done` gets its result, on whatever thread it ends.
template <typename T>
void run(Task<T> task, std::type_identity_t<std::move_only_function<void(Result<T>)>> done) {
  [](Task<T> running, std::move_only_function<void(Result<T>)> then) -> internal::Detached {
    then(co_await std::move(running));
  }(std::move(task), std::move(done));
}

HEDDLE_API_END
}  // namespace heddle
