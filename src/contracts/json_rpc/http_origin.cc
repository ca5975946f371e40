#include "contracts/json_rpc/http_origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "contracts/json_rpc/call_errors.h"
#include "contracts/json_rpc/incoming.h"
#include "contracts/json_rpc/socket_session.h"
#include "http/websocket.h"
#include "net/worker.h"

namespace heddle::json_rpc {
namespace {

// For a client that reads too slowly.
constexpr std::size_t kMaxUnsent = std::size_t{16} << 20U;
constexpr std::size_t kMaxUnread = std::size_t{1} << 20U;

// The last segment of a socket's path. A plugin may have this name too: where none is named by the
// segment before it, it is meant.
constexpr std::string_view kSocketName = "ws";

struct Address {
  std::string_view plugin;
  bool socket = false;  // ends in /ws
};

Address address_of(std::string_view target) {
  std::string_view path = target.substr(0, target.find('?'));
  const bool socket = path.ends_with("/ws");
  if (socket) path.remove_suffix(3);
  return {path.substr(path.rfind('/') + 1), socket};
}

// One exchange; deletes itself after its last event.
class RpcStream final : public http::Sender, private SocketSession::Out {
 public:
  RpcStream(const extension::RpcTargets& targets, net::Worker& worker,
            const extension::ExchangeInfo& info, http::Receiver& response)
      : targets_(targets), worker_(worker), info_(info), response_(response) {}

  void send_informational(const http::HeaderMap& /*headers*/) override {}

  void send_head(const http::HeaderMap& headers, bool end) override {
    Address address = address_of(headers.get(":path").value_or(""));
    target_ = targets_.find(address.plugin);
    if (!target_ && address.socket) {
      target_ = targets_.find(kSocketName);
      if (target_) address = {kSocketName};
    }
    if (!target_) {
      return refuse(
          404, rpc_error(RpcError::kResourceNotFound, "no such plugin", "plugin", address.plugin));
    }
    if (address.socket) return begin_socket(headers, address.plugin);
    if (headers.get(":method") != "POST") {
      allow_ = "POST";
      return refuse(405, rpc_error(RpcError::kInvalidRequest, "Invalid Request",
                                   "method_not_allowed", "send requests by POST"));
    }
    if (end) begin();
  }

  void send_data(http::Buffer&& data, bool end) override {
    if (refused_) return data.clear();
    if (body_.size() + data.size() > target_->body_limit() && !session_) {
      data.clear();
      return refuse(413, limit_error("params_limit", fmt::format("a body of more than {} bytes",
                                                                 target_->body_limit())));
    }
    body_bytes_ += data.size();
    body_ += data.to_string();
    data.clear();
    if (session_) return read_socket(end);
    if (end) begin();
  }

  void send_trailers(const http::HeaderMap& /*trailers*/) override {
    if (!refused_) begin();
  }

  void reset(http::StreamError /*error*/) override {
    calls_.clear();
    delete_later();
  }
  void pause_receiving() override { ++paused_; }
  void resume_receiving() override {
    if (--paused_ > 0 || !session_) return;
    worker_.post([this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) flush();
    });
  }
  bool above_watermark() const override {
    return said_full_ = session_ && body_.size() > kMaxUnread;
  }
  std::uint64_t bytes_sent() const override { return body_bytes_; }
  std::uint64_t bytes_received() const override { return answer_bytes_; }

 private:
  struct Slot {
    std::string id;  // empty: a notification
    std::string answer;
    std::unique_ptr<extension::RpcTarget::Handle> handle;
  };

  // The head does not stay, so that the answer to it is made now.
  void begin_socket(const http::HeaderMap& headers, std::string_view plugin) {
    const bool keyed =
        info_.protocol == http::Protocol::kHttp2 || headers.contains("sec-websocket-key");
    if (!headers.has_token("upgrade", "websocket") || !keyed) {
      return refuse(426, rpc_error(RpcError::kInvalidRequest, "Invalid Request", "upgrade",
                                   "open this path as a WebSocket"));
    }
    switching_ = http::make_head();
    switching_->headers.add(":status", "200");
    http::make_switching_protocols(*switching_, headers);
    SocketSession::Out& out = *this;
    session_ = std::make_unique<SocketSession>(
        targets_, worker_,
        SocketSession::Options{std::string(plugin), info_.request_id, target_->body_limit()}, out);
    worker_.post([this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      response_.on_head(std::move(switching_), false);
      if (!alive.expired()) session_->start();
    });
  }

  void read_socket(bool end) {
    ended_ |= end;
    if (std::exchange(read_posted_, true)) return;
    worker_.post([this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      read_posted_ = false;
      session_->on_bytes(std::exchange(body_, {}));
      if (!alive.expired() && ended_) session_->on_end();
      if (!alive.expired() && std::exchange(said_full_, false)) response_.on_writable();
    });
  }

  // SocketSession::Out
  void write(std::string frame) override {
    if (!alive_) return;
    answer_bytes_ += frame.size();
    unsent_ += frame;
    if (unsent_.size() > std::max(kMaxUnsent, target_->body_limit()) &&
        !std::exchange(broken_, true)) {
      worker_.post([this, alive = std::weak_ptr(alive_)] {
        if (alive.expired()) return;
        delete_later();
        response_.on_reset(http::StreamError::kOverflow, "the client reads too slowly");
      });
    }
    flush();
  }

  void end() override {
    paused_ = 0;
    flush();
    if (!alive_) return;
    http::Buffer nothing;
    response_.on_data(nothing, true);
    if (!alive_) return;
    delete_later();
    response_.on_complete();
  }

  void flush() {
    if (paused_ > 0 || unsent_.empty()) return;
    http::Buffer data;
    data.append(std::exchange(unsent_, {}));
    response_.on_data(data, false);
  }

  void refuse(int status, const RpcError& error) {
    refused_ = true;
    body_.clear();
    respond_later(status, answer_json("null", failure(error)));
  }

  void begin() {
    IncomingText text = read_incoming(body_);
    batch_ = text.batch;
    waiting_ = text.messages.size();
    calls_.resize(waiting_);
    for (std::size_t i = 0; i < calls_.size(); ++i) start_call(i, std::move(text.messages[i]));
    finish_if_done();
  }

  void start_call(std::size_t index, Incoming message) {
    Slot& slot = calls_[index];
    slot.id = std::move(message.id);
    if (message.answer) {
      message.error = rpc_error(RpcError::kInvalidRequest, "Invalid Request", "invalid_request",
                                "an answer, where requests are taken");
    }
    if (message.error) {
      if (!batch_) status_ = 400;
      slot.answer = answer_json(slot.id, failure(std::move(*message.error)));
      --waiting_;
      return;
    }
    slot.handle = target_->call(worker_,
                                {.method = std::move(message.method),
                                 .params = std::move(message.params),
                                 .request_id = info_.request_id},
                                [this, index](const RpcOutcome& outcome) { take(index, outcome); });
  }

  void take(std::size_t index, const RpcOutcome& outcome) {
    Slot& slot = calls_[index];
    if (!slot.id.empty()) slot.answer = answer_json(slot.id, outcome);
    if (!batch_ && !outcome.ok) status_ = status_of(outcome.error);
    --waiting_;
    finish_if_done();
  }

  static int status_of(const RpcError& error) {
    const std::string cause = cause_of(error);
    return cause == "max_queued_calls" || cause == "instances" ? 503 : 200;
  }

  void finish_if_done() {
    if (waiting_ > 0) return;
    std::string out;
    for (const Slot& slot : calls_) {
      if (slot.answer.empty()) continue;
      if (!out.empty()) out += ',';
      out += slot.answer;
    }
    if (out.empty()) return respond_later(status_ == 200 ? 204 : status_, {});
    respond_later(status_, batch_ ? "[" + out + "]" : std::move(out));
  }

  void respond_later(int status, std::string body) {
    worker_.post([this, alive = std::weak_ptr(alive_), status, body = std::move(body)] {
      if (!alive.expired()) respond(status, body);
    });
  }

  void respond(int status, const std::string& body) {
    http::HeadPtr head = http::make_head();
    head->headers.add(":status", std::to_string(status));
    if (!allow_.empty()) head->headers.add("allow", allow_);
    if (status == 426) head->headers.add("upgrade", "websocket");
    if (!body.empty()) {
      head->headers.add("content-type", "application/json");
      head->headers.add("content-length", std::to_string(body.size()));
    }
    answer_bytes_ = body.size();
    const std::weak_ptr alive(alive_);
    response_.on_head(std::move(head), body.empty());
    if (!alive.expired() && !body.empty()) {
      http::Buffer data;
      data.append(body);
      response_.on_data(data, true);
    }
    if (alive.expired()) return;
    response_.on_complete();
    delete_later();
  }

  void delete_later() {
    if (!alive_) return;
    alive_.reset();
    worker_.defer([owned = std::unique_ptr<RpcStream>(this)] {});
  }

  const extension::RpcTargets& targets_;
  std::shared_ptr<extension::RpcTarget> target_;  // outlives its calls
  net::Worker& worker_;
  const extension::ExchangeInfo& info_;
  http::Receiver& response_;
  std::string body_;  // of a WebSocket: what is not read yet
  std::uint64_t body_bytes_ = 0;
  std::string allow_;
  std::vector<Slot> calls_;
  std::size_t waiting_ = 0;
  std::size_t answer_bytes_ = 0;
  int status_ = 200;
  bool batch_ = false;
  bool refused_ = false;
  http::HeadPtr switching_;  // the answer to an upgrade, until it is sent
  std::string unsent_;       // while the client reads slowly
  int paused_ = 0;
  bool read_posted_ = false;
  bool ended_ = false;
  bool broken_ = false;
  mutable bool said_full_ = false;  // above_watermark() was true: on_writable() must come
  std::unique_ptr<SocketSession> session_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // null: about to be deleted
};

}  // namespace

http::Sender& RpcOrigin::start(net::Worker& worker, extension::ExchangeInfo& info,
                               http::Receiver& response) {
  info.upstream_address = "builtin:rpc";
  // Owned by itself from here on: see RpcStream::delete_later.
  return *std::make_unique<RpcStream>(targets_, worker, info, response).release();
}

}  // namespace heddle::json_rpc
