// One client on the WebSocket of a plugin: JSON-RPC both ways, a message a text frame. The client
// sends requests, notifications and batches, and answers what the plugin asks; it gets answers, the
// plugin's notifications, and its requests for methods that the host has not got. Lives on one
// worker; its end gives up the calls that are open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "contracts/json_rpc/incoming.h"
#include "extension/rpc_targets.h"
#include "http/websocket_frames.h"
#include "net/timer.h"

namespace heddle::json_rpc {

class SocketSession {
 public:
  // Calls of one client at a time; more are refused. To stop reading instead would keep away the
  // answers that the calls wait for.
  static constexpr std::size_t kMaxOpenCalls = kMaxBatch;

  class Out {
   public:
    virtual void write(std::string frame) = 0;
    // Nothing more is written; the session may be gone when this returns.
    virtual void end() = 0;

   protected:
    ~Out() = default;
  };

  struct Options {
    std::string plugin;
    std::string request_id;
    std::size_t body_limit;  // bytes of a message
  };

  SocketSession(const extension::RpcTargets& targets, net::Worker& worker, Options options,
                Out& out);
  ~SocketSession();
  SocketSession(const SocketSession&) = delete;
  SocketSession& operator=(const SocketSession&) = delete;

  void start();  // after the handshake
  void on_bytes(std::string_view bytes);
  void on_end();  // the client sends nothing more

 private:
  class OpenCall;
  struct Batch;

  void on_message(const http::WebSocketMessage& message);
  void on_text(std::string_view text);
  void take(Incoming message, const std::shared_ptr<Batch>& batch);
  void call(Incoming message, const std::shared_ptr<Batch>& batch);
  void reply(std::string_view answer, const std::shared_ptr<Batch>& batch);
  void finish_call(std::uint64_t number, const extension::RpcOutcome& outcome);
  void take_answer(const Incoming& message);
  void ping();
  void write(std::string_view text);
  void close(std::uint16_t code, std::string_view reason);

  const extension::RpcTargets& targets_;
  net::Worker& worker_;
  Options options_;
  Out& out_;
  http::WebSocketReader reader_;
  net::Timer ping_timer_;
  std::uint64_t next_call_ = 0;
  std::uint64_t next_request_ = 0;
  // Requests of plugins that the client has to answer, by id, and the call that each is of.
  std::map<std::uint64_t, OpenCall*> asked_;
  std::unordered_map<std::uint64_t, std::unique_ptr<OpenCall>> calls_;
  bool heard_ = true;
  bool closed_ = false;
};

}  // namespace heddle::json_rpc
