// JSON-RPC 2.0 between host and guest, a message a line (design/contracts.md section 4): takes what
// the guest wrote to standard output, and makes what it reads on standard input. Knows nothing of
// Wasm or threads.
//
// The host sends one request at a time, the first with id 0. The guest may send requests of its
// own, numbered its own way and answered in any order, notifications, and batches of both. What is
// not JSON-RPC ends the call, but only while its answer has not come: an answer that was written
// counts.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "contracts/json_rpc/rpc_error.h"

namespace heddle::json_rpc {

struct LineLimits {
  std::size_t line = std::size_t{10} << 20U;    // bytes of one message of the guest
  std::size_t output = std::size_t{64} << 20U;  // bytes of all of them
  std::size_t depth = 64;                       // nesting of arrays and objects
};

// What a guest did wrong; the names stand in the `cause` of errors.
enum class Violation : std::uint8_t {
  kNotJson,
  kNotUtf8,
  kNotJsonRpc,
  kTooDeep,
  kLineTooLong,
  kOutputTooLong,
  kWrongId,
  kSecondAnswer,
};
std::string_view to_string(Violation violation);

class LineProtocol {
 public:
  // Names a request of the guest until it is answered.
  using Token = std::uint64_t;

  class Handler {
   public:
    virtual ~Handler() = default;
    // To be answered with succeed() or fail(), from within or later.
    virtual void on_request(Token token, std::string_view method,
                            const boost::json::value& params) = 0;
    virtual void on_notification(std::string_view method, const boost::json::value& params) = 0;
    // The answer; one of the two, once a request. `result` is JSON text.
    virtual void on_result(std::string result) = 0;
    virtual void on_error(RpcError error) = 0;
    // Before the answer: the call is over, nothing more comes. After it: for the log.
    virtual void on_violation(Violation violation, std::string_view detail) = 0;
    // For the guest's standard input; a whole line with its newline.
    virtual void on_send(std::string line) = 0;
  };

  LineProtocol(Handler& handler, const LineLimits& limits) : handler_(handler), limits_(limits) {}

  // The request, and the next one when that is answered. `params` is JSON text.
  void call(std::string_view method, std::string_view params);
  // Bytes of the guest's standard output.
  void feed(std::string_view bytes);
  // The guest has ended: its last line may have no newline.
  void end();

  // Answers to the guest; `result` is JSON text. An unknown token is one that was answered.
  void succeed(Token token, std::string_view result);
  void fail(Token token, const RpcError& error);

  bool answered() const { return answered_; }
  // Bytes of answers to the guest that wait for the rest of their batch.
  std::size_t held() const { return held_; }
  std::size_t open_requests() const { return open_.size(); }

 private:
  // A batch is answered in one line, when all its requests are.
  struct Batch {
    std::string out;
    std::size_t waiting = 0;
  };
  struct Open {
    std::string id;  // JSON
    std::shared_ptr<Batch> batch;
  };

  bool accepts() const { return !broken_; }
  void split(std::string_view bytes);
  void line(std::string_view text);
  bool plain_answer(std::string_view text);
  void message(const boost::json::value& value, const std::shared_ptr<Batch>& batch);
  void batch(const boost::json::array& messages);
  void request(const boost::json::object& object, const std::shared_ptr<Batch>& batch);
  void answer(const boost::json::object& object);
  void violate(Violation violation, std::string_view detail);
  void reply(const Open& open, std::string_view key, std::string_view value);
  void send_batch(const Batch& batch);

  Handler& handler_;
  LineLimits limits_;
  std::string partial_;
  std::size_t received_ = 0;  // since the request
  std::int64_t id_ = 0;       // of the request
  std::int64_t next_id_ = 0;
  Token next_token_ = 0;
  std::size_t held_ = 0;
  std::unordered_map<Token, Open> open_;
  std::unordered_set<std::string> open_ids_;
  bool answered_ = false;
  bool broken_ = false;    // nothing more is read
  bool skipping_ = false;  // to the end of a line that was too long
};

}  // namespace heddle::json_rpc
