// Heddle inside a C++ program: loads JSON-RPC plugins (WASI commands that speak JSON-RPC 2.0 over
// their standard streams, such as those of the crate wasmi-plugin-pdk), offers them methods of the
// program's own, and calls theirs.
//
//   auto host = heddle::Host::create();
//   host->add_method("echo", [](const heddle::Json& params) { return params; });
//   auto plugin = host->load_file("plugin.wasm");
//   heddle::Result<heddle::Json> answer = plugin->call("hello");
//
// Every call runs in a fresh instance of the plugin, in a sandbox, within the limits of
// PluginOptions; a plugin that traps, loops or writes nonsense is an Error of that call and harms
// nothing else. Host, Plugin, Session, Reply and PendingCall are handles: copies mean the same
// thing, and whatever still runs keeps alive what it needs. Unless a function says otherwise, any
// thread may call it at any time. No function throws, except std::bad_alloc.
#pragma once

#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "heddle/json.h"
#include "heddle/task.h"
#include "heddle/version.h"

// NOLINTNEXTLINE(modernize-concat-nested-namespaces): the inner one is the macro's
namespace heddle {
HEDDLE_API_BEGIN

namespace internal {
class HostCore;
class PluginCore;
class SessionCore;
class ReplyCore;
class PendingCore;
}  // namespace internal

// "0.1.0", of the library that is linked.
HEDDLE_EXPORT std::string_view version();

struct HostOptions {
  // Guests at a time, of all plugins together, and callers of the synchronous call() at a time.
  // Further callers wait, but not from within a host method [max_instances]; a guest waits for
  // another one of its plugin on its thread, and where none runs its call fails [instances].
  // Sessions hold their guests. Each reserves 4 GiB of addresses and a stack, not memory. 1 to
  // 10,000.
  std::uint32_t max_instances = 256;
  // Threads for call_async() and call(…, done); made with the first such call. 1 to 64.
  std::uint32_t threads = 1;
  // Interpret plugins (Wasmtime's Pulley) instead of compiling them: slower, and needs no memory
  // that is both written and run.
  bool interpret = false;
  // Folder for compiled plugins, so that loading one again takes a millisecond; made with mode
  // 0700, and not used when somebody else could write there. Empty: none.
  std::string cache_dir = {};
  // A line that a plugin wrote to standard error, without its newline, within the limits of
  // PluginOptions. Called on the thread on which the plugin runs; must not block.
  std::function<void(std::string_view plugin, std::string_view line)> on_log = nullptr;
  // A notification (a request without an id) for a method that the host has not got.
  std::function<void(std::string_view plugin, std::string_view method, const Json& params)>
      on_notification = nullptr;
};

// Limits of one plugin. Reaching one is an Error of kind kLimit whose cause is the name that
// stands in brackets; the guest is ended, wherever it is.
struct PluginOptions {
  std::string name = {};  // in messages; empty: the file's name without its ending
  std::chrono::milliseconds timeout{10'000};   // wall time of a call, with its waits [timeout]
  std::chrono::milliseconds cpu_limit{2'000};  // time that a call computes [cpu_limit]
  std::size_t memory_limit = std::size_t{64} << 20U;  // bytes of linear memory [memory_limit]
  std::size_t params_limit = std::size_t{10} << 20U;  // bytes of params [params_limit], and of
                                                      // one message of the plugin [line_too_long]
  std::size_t output_limit = std::size_t{64} << 20U;  // bytes of all messages of the plugin in
                                                      // one call [output_too_long]
  // A plugin that asks the host while it has not read twice params_limit of answers is ended
  // [input_too_long].
  std::uint64_t host_calls = 100'000;  // requests to the host in one call [host_calls]
  std::size_t pending_host_calls = 8;  // of those, unanswered at a time; a further one is refused
  std::size_t max_calls = 100;         // calls at a time; further ones wait in their order
  std::size_t max_queued_calls = 10'000;  // that wait; a further one is refused [max_queued_calls]
  std::size_t log_lines_per_second = 1'000;   // of standard error; what is more is dropped
  std::size_t log_line_bytes = 4'096;         // the rest of a longer line is dropped
  std::vector<std::string> environment = {};  // "KEY=VALUE"; all that the plugin sees
};

// What a plugin has done since it was loaded.
struct PluginStats {
  std::uint64_t calls = 0;   // that ran, or began to
  std::uint64_t errors = 0;  // of them, those that ended with an error
  std::uint64_t limit_hits = 0;
  std::uint64_t instances = 0;  // that run or wait now
  std::uint64_t queued = 0;     // calls that wait for their turn now
  double cpu_seconds = 0;       // of the plugin's own code
  double average_call_us = 0;   // wall time
  std::string last_error = {};
};

// The answer to a request of a plugin. Any thread; the first answer counts. A Reply that goes
// away without an answer sends an error, so that no plugin waits for ever.
class HEDDLE_EXPORT Reply {
 public:
  explicit Reply(std::shared_ptr<internal::ReplyCore> core) : core_(std::move(core)) {}
  void send(Result<Json> answer) const;
  // The call is over, and nobody waits for the answer any more.
  bool cancelled() const;

 private:
  std::shared_ptr<internal::ReplyCore> core_;
};

// Methods for plugins. May run on several threads at once. What an exception says reaches the
// plugin as an error of code -32603.
using Method = std::function<Result<Json>(const Json& params)>;
using AsyncMethod = std::function<void(Json params, Reply reply)>;

// A call that was started with a callback. Letting go of it changes nothing.
class HEDDLE_EXPORT PendingCall {
 public:
  explicit PendingCall(std::shared_ptr<internal::PendingCore> core) : core_(std::move(core)) {}
  // Ends the call wherever it is; its callback gets an error with cause "cancelled", unless it
  // has its answer already.
  void cancel() const;

 private:
  std::shared_ptr<internal::PendingCore> core_;
};

// One guest that serves several calls, one after the other, and keeps its state between them: for
// plugins that read request after request until their input ends, which the crate
// wasmi-plugin-pdk 0.1.0 does not do (its programs end after one). Costs a fraction of a fresh
// instance. Any thread; calls at the same time wait for each other, but one from within a host
// method never waits: while the session is in a call it fails with cause "session_busy".
class HEDDLE_EXPORT Session {
 public:
  explicit Session(std::shared_ptr<internal::SessionCore> core) : core_(std::move(core)) {}
  // As Plugin::call(). After an error of kind kLimit or kPlugin with a cause other than
  // "plugin_error" the guest is gone; then every call fails with cause "session_over".
  Result<Json> call(std::string_view method, const Json& params = {}) const;
  Result<std::string> call_text(std::string_view method, std::string_view params) const;
  bool alive() const;

 private:
  std::shared_ptr<internal::SessionCore> core_;
};

class HEDDLE_EXPORT Plugin {
 public:
  using Done = std::move_only_function<void(Result<Json>)>;

  explicit Plugin(std::shared_ptr<internal::PluginCore> core) : core_(std::move(core)) {}

  // Calls a method and waits for its answer. The plugin runs on the calling thread, so that a
  // call costs no switch of threads. Host methods may call too, other plugins or the same one;
  // such a call never waits for its turn (see PluginOptions::max_calls), but fails.
  Result<Json> call(std::string_view method, const Json& params = {}) const;
  // The same with JSON as text; params that are not JSON are an error (-32602).
  Result<std::string> call_text(std::string_view method, std::string_view params) const;

  // Starts a call and returns. `done` comes once, on one of the host's threads
  // (HostOptions::threads) or, when the call is refused or cancelled, within this function or
  // cancel(); it must neither block nor throw, and may be empty.
  PendingCall call(std::string_view method, Json params, Done done) const;

  // co_await plugin.call_async("method", params): Result<Json>. The coroutine goes on where
  // `done` would come.
  auto call_async(std::string method, Json params = {}) const;

  // A guest for several calls, which starts with the first of them.
  Result<Session> open_session() const;

  PluginStats stats() const;
  const std::string& name() const;

 private:
  std::shared_ptr<internal::PluginCore> core_;
};

template <typename F>
concept CoroutineMethod = requires(F function) {
  { function(Json()) } -> std::same_as<Task<Json>>;
};

class HEDDLE_EXPORT Host {
 public:
  // Makes the engine and its pool of instances, which takes some milliseconds: one for a program
  // is enough. Fails with kInvalidArgument on options out of range, with kLimit when the process
  // may not reserve so many addresses.
  static Result<Host> create(HostOptions options = {});

  // A method that plugins may ask for, by name: those loaded from now on. A name given again
  // replaces. Of three forms, of which any number may run at a time:
  //   Result<Json> f(const Json& params)    answers at once
  //   Task<Json> f(Json params)             a coroutine: the plugin waits, the thread does not
  //   void f(Json params, Reply reply)      answers through `reply`, now or later, from any
  //   thread
  template <typename F>
  void add_method(std::string method, F function) {
    if constexpr (CoroutineMethod<F>) {
      add(std::move(method),
          // NOLINTNEXTLINE(performance-unnecessary-value-param): moved where `function` takes it
          AsyncMethod([function = std::move(function)](Json params, Reply reply) mutable {
            run(function(std::move(params)),
                [reply = std::move(reply)](Result<Json> answer) { reply.send(std::move(answer)); });
          }));
    } else if constexpr (std::is_invocable_v<F&, Json, Reply>) {
      add(std::move(method), AsyncMethod(std::move(function)));
    } else {
      add(std::move(method), Method(std::move(function)));
    }
  }

  // Compiles a plugin, or takes it from the cache; blocks for as long as that takes (a megabyte:
  // a second). Fails with kInvalidArgument when it is no WebAssembly module, no WASI command, or
  // asks for what the sandbox has not got, which the message names; with kLimit when it starts
  // with more than memory_limit; with kNotFound or kPermission when the file cannot be read.
  Result<Plugin> load_file(const std::string& path, PluginOptions options = {}) const;
  // The bytes may go once it returns. WebAssembly text is taken too.
  Result<Plugin> load(std::span<const std::byte> module, PluginOptions options) const;

 private:
  explicit Host(std::shared_ptr<internal::HostCore> core) : core_(std::move(core)) {}
  void add(std::string method, Method function);
  void add(std::string method, AsyncMethod function);

  std::shared_ptr<internal::HostCore> core_;
};

namespace internal {

struct CallAwaiter {
  Plugin plugin;
  std::string method;
  Json params;
  std::optional<Result<Json>> answer = {};

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiting) {
    plugin.call(method, std::move(params), [this, awaiting](Result<Json> result) {
      answer = std::move(result);
      awaiting.resume();
    });
  }
  Result<Json> await_resume() { return std::move(*answer); }
};

}  // namespace internal

inline auto Plugin::call_async(std::string method, Json params) const {
  return internal::CallAwaiter{*this, std::move(method), std::move(params)};
}

HEDDLE_API_END
}  // namespace heddle
