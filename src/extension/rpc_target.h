// The extension point that answers method calls: a JSON-RPC plugin. Reached by `POST
// /rpc/{plugin}`, its WebSocket, `heddle call` and the library.
//
// JSON travels as text here; whoever makes it vouches that it is JSON. Everything runs on one
// worker.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::net {
class Worker;
}

namespace heddle::extension {

// An error as JSON-RPC 2.0 has it (section 5.1).
struct RpcError {
  // Of the specification, and of EIP-1474 as plugins of the wasmi framework use it.
  enum Code : int {
    kParseError = -32700,
    kInvalidRequest = -32600,
    kMethodNotFound = -32601,
    kInvalidParams = -32602,
    kInternalError = -32603,
    kInvalidInput = -32000,
    kResourceNotFound = -32001,
    kResourceUnavailable = -32002,
    kTransactionRejected = -32003,
    kMethodNotSupported = -32004,
    kLimitExceeded = -32005,
    kVersionNotSupported = -32006,
  };
  int code = kInternalError;
  std::string message;
  std::string data = {};   // JSON, or empty: none
  std::string cause = {};  // a word of Heddle's own; empty: the error of a plugin or a program
};

struct RpcOutcome {
  bool ok = false;
  std::string result = {};  // JSON; of success
  RpcError error = {};      // of failure
};

// What happens during a call beside its answer; outlives the call's handle. All optional.
class RpcCaller {
 public:
  using Reply = std::move_only_function<void(RpcOutcome)>;

  virtual ~RpcCaller() = default;
  // A notification of the plugin.
  virtual void on_notification(std::string_view /*method*/, std::string_view /*params*/) {}
  // A line of the plugin's standard error; it goes to the log too.
  virtual void on_log(std::string_view /*line*/) {}
  // A request of the plugin for a method that the host has not got. True: it was taken, and `reply`
  // is called once, at once or later, on the call's worker (dropping it is a failure).
  virtual bool on_request(std::string_view /*method*/, std::string_view /*params*/,
                          Reply& /*reply*/) {
    return false;
  }
};

struct RpcCall {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  std::string method = {};
  std::string params = {};  // JSON; empty: null
  std::string request_id = {};
  RpcCaller* caller = nullptr;
  std::vector<std::string> chain = {};  // plugins that are calling (rpc.call), outermost first
  // NOLINTEND(readability-redundant-member-init)
};

class RpcTarget {
 public:
  // A call under way. Destroying it ends the call; its answer does not come any more.
  class Handle {
   public:
    virtual ~Handle() = default;
  };
  using Done = std::move_only_function<void(RpcOutcome)>;

  virtual ~RpcTarget() = default;
  // `done` comes once, as an event of its own, on `worker`.
  [[nodiscard]] virtual std::unique_ptr<Handle> call(net::Worker& worker, RpcCall call,
                                                     Done done) = 0;
  // Most bytes of one request over HTTP.
  virtual std::size_t body_limit() const = 0;
  // Longest call, once it runs.
  virtual std::chrono::milliseconds timeout() const = 0;
};

}  // namespace heddle::extension
