// The whole Heddle server inside a C++ program: the gateway with its listeners, plugins of every
// kind, the message service and the admin API, as `heddle serve -c FILE` runs them, and what only a
// program can add to them.
//
//   heddle::ServerOptions options;
//   options.foreign_functions["greet"] = {7, [](const heddle::ForeignCall& call) {
//     return heddle::Result<std::string>("hello, " + std::string(call.arguments));
//   }};
//   auto server = heddle::Server::start("heddle.yaml", options);
//   …
//   server->stop();
//
// The program's signals stay the program's: the server blocks them in its own threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "heddle/json.h"
#include "heddle/version.h"

namespace heddle {
HEDDLE_API_BEGIN

namespace internal {
class ServerCore;
}  // namespace internal

// A Proxy-Wasm plugin calls proxy_call_foreign_function. Everything in it but `reply` ends when
// the function returns.
struct ForeignCall {
  std::string_view plugin;     // its name in the configuration
  std::string_view arguments;  // bytes
  // For functions that complete later: the bytes reach the plugin as proxy_on_foreign_function.
  // Any thread, any number of times, also when the plugin is gone.
  std::function<void(std::string bytes)> reply;
};

struct ForeignFunction {
  std::uint32_t id = 0;  // by which proxy_on_foreign_function names the function
  // Gives the bytes of the result. Runs within the plugin's call on a worker, so it must not
  // block, and on several workers at once. kInvalidArgument becomes the status BAD_ARGUMENT,
  // kNotFound NOT_FOUND, any other error INTERNAL_FAILURE; its message goes to the log.
  std::function<Result<std::string>(const ForeignCall& call)> function;
};

struct ServerOptions {
  std::string listen = {};     // replaces the address of the first listener; empty: the file's
  std::string admin = {};      // replaces the address of the admin API
  std::string log_level = {};  // trace, debug, info, warn, error, critical, off; empty: the file's
  // By name. A plugin may call those that its permissions.foreign_functions lists. The names of
  // the built-in ones cannot be replaced.
  std::map<std::string, ForeignFunction> foreign_functions = {};
};

// A running server. A handle: the last copy stops it. Any thread.
class HEDDLE_EXPORT Server {
 public:
  // Reads the configuration, loads the plugins, serves; returns when it does. The error lists
  // what is wrong with the configuration, a line each, or what could not be started.
  static Result<Server> start(const std::string& config_file, ServerOptions options = {});

  // Reads the configuration again, as SIGHUP does; the error says what is wrong with it, and that
  // the former one goes on serving. Waits for it; a foreign function, for which a reload would wait
  // in turn, gets an error.
  Result<void> reload() const;
  // Drains and ends: returns when the last request is answered, or after `drain_timeout`. Once
  // more does nothing. In a foreign function it only begins to, and returns at once; the last copy
  // must not go away there.
  void stop() const;

 private:
  explicit Server(std::shared_ptr<internal::ServerCore> core) : core_(std::move(core)) {}
  std::shared_ptr<internal::ServerCore> core_;
};

HEDDLE_API_END
}  // namespace heddle
