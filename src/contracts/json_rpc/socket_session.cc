#include "contracts/json_rpc/socket_session.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "contracts/json_rpc/call_errors.h"
#include "net/worker.h"

namespace heddle::json_rpc {

using http::WebSocketKind;

namespace {

constexpr std::chrono::seconds kPingInterval{20};
constexpr std::uint16_t kNormal = 1000;
constexpr std::uint16_t kGoingAway = 1001;
constexpr std::uint16_t kNotText = 1003;

}  // namespace

// The answers of a batch, which leave together.
struct SocketSession::Batch {
  std::string out;
  std::size_t waiting = 0;
};

// A call under way, and what its plugin says to the client meanwhile.
class SocketSession::OpenCall final : public extension::RpcCaller {
 public:
  OpenCall(SocketSession& session, std::string id, std::shared_ptr<Batch> batch)
      : session_(session), id_(std::move(id)), batch_(std::move(batch)) {}
  ~OpenCall() override {
    for (const auto& [number, reply] : replies_) session_.asked_.erase(number);
  }
  OpenCall(const OpenCall&) = delete;
  OpenCall& operator=(const OpenCall&) = delete;

  void hold(std::shared_ptr<extension::RpcTarget> target,
            std::unique_ptr<extension::RpcTarget::Handle> handle) {
    target_ = std::move(target);
    handle_ = std::move(handle);
  }

  void on_notification(std::string_view method, std::string_view params) override {
    session_.write(message(R"({"jsonrpc":"2.0")", method, params));
  }

  bool on_request(std::string_view method, std::string_view params, Reply& reply) override {
    const std::uint64_t number = session_.next_request_++;
    replies_.emplace(number, std::move(reply));
    session_.asked_.emplace(number, this);
    session_.write(message(R"({"jsonrpc":"2.0","id":)" + std::to_string(number), method, params));
    return true;
  }

  void answer(std::uint64_t number, extension::RpcOutcome outcome) {
    const auto found = replies_.find(number);
    if (found == replies_.end()) return;
    Reply reply = std::move(found->second);
    replies_.erase(found);
    reply(std::move(outcome));
  }

  const std::string& id() const { return id_; }
  const std::shared_ptr<Batch>& batch() const { return batch_; }

 private:
  static std::string message(std::string head, std::string_view method, std::string_view params) {
    head += R"(,"method":)";
    append_json_string(head, method);
    head += R"(,"params":)";
    head += params.empty() ? "null" : params;
    return head + '}';
  }

  SocketSession& session_;
  std::string id_;  // empty: a notification
  std::shared_ptr<Batch> batch_;
  std::map<std::uint64_t, Reply> replies_;
  std::shared_ptr<extension::RpcTarget> target_;
  std::unique_ptr<extension::RpcTarget::Handle> handle_;  // ends before what it calls
};

SocketSession::SocketSession(const extension::RpcTargets& targets, net::Worker& worker,
                             Options options, Out& out)
    : targets_(targets),
      worker_(worker),
      options_(std::move(options)),
      out_(out),
      reader_(options_.body_limit) {}

SocketSession::~SocketSession() = default;

void SocketSession::start() {
  ping_timer_.arm(worker_.timers(), kPingInterval, [this] { ping(); });
}

// A client that answers no ping is gone.
void SocketSession::ping() {
  if (!std::exchange(heard_, false)) return close(kGoingAway, "no answer to a ping");
  out_.write(http::websocket_frame(WebSocketKind::kPing, {}));
  start();
}

void SocketSession::on_bytes(std::string_view bytes) {
  heard_ = true;
  reader_.add(bytes);
  while (!closed_) {
    auto message = reader_.next();
    if (!message) return close(message.error(), {});
    if (!*message) return;
    on_message(**message);
  }
}

void SocketSession::on_end() {
  close(kNormal, {});
}

void SocketSession::on_message(const http::WebSocketMessage& message) {
  switch (message.kind) {
    case WebSocketKind::kText:
      return on_text(message.payload);
    case WebSocketKind::kBinary:
      return close(kNotText, "JSON-RPC comes as text");
    case WebSocketKind::kClose:
      return close(kNormal, {});
    case WebSocketKind::kPing:
      return out_.write(http::websocket_frame(WebSocketKind::kPong, message.payload));
    case WebSocketKind::kPong:
      return;
  }
}

void SocketSession::on_text(std::string_view text) {
  IncomingText in = read_incoming(text);
  std::shared_ptr<Batch> batch;
  if (in.batch) batch = std::make_shared<Batch>(Batch{{}, in.messages.size()});
  for (Incoming& message : in.messages) take(std::move(message), batch);
}

void SocketSession::take(Incoming message, const std::shared_ptr<Batch>& batch) {
  if (closed_) return;
  if (message.answer) {
    take_answer(message);
    return reply({}, batch);
  }
  if (message.error)
    return reply(answer_json(message.id, failure(std::move(*message.error))), batch);
  call(std::move(message), batch);
}

void SocketSession::call(Incoming message, const std::shared_ptr<Batch>& batch) {
  auto target = targets_.find(options_.plugin);
  if (!target) {
    const RpcError error =
        rpc_error(RpcError::kResourceNotFound, "no such plugin", "plugin", options_.plugin);
    return reply(message.id.empty() ? "" : answer_json(message.id, failure(error)), batch);
  }
  if (calls_.size() >= kMaxOpenCalls) {
    const RpcError error = limit_error(
        "connection_calls", fmt::format("{} calls of the connection are open", kMaxOpenCalls));
    return reply(message.id.empty() ? "" : answer_json(message.id, failure(error)), batch);
  }
  const std::uint64_t number = next_call_++;
  auto open = std::make_unique<OpenCall>(*this, std::move(message.id), batch);
  extension::RpcCall call{.method = std::move(message.method),
                          .params = std::move(message.params),
                          .request_id = options_.request_id,
                          .caller = open.get()};
  auto handle = target->call(
      worker_, std::move(call),
      [this, number](const extension::RpcOutcome& outcome) { finish_call(number, outcome); });
  open->hold(std::move(target), std::move(handle));
  calls_.emplace(number, std::move(open));
}

void SocketSession::finish_call(std::uint64_t number, const extension::RpcOutcome& outcome) {
  auto node = calls_.extract(number);
  const OpenCall& open = *node.mapped();
  reply(open.id().empty() ? std::string() : answer_json(open.id(), outcome), open.batch());
}

void SocketSession::reply(std::string_view answer, const std::shared_ptr<Batch>& batch) {
  if (!batch) {
    if (!answer.empty()) write(answer);
    return;
  }
  if (!answer.empty() && !batch->out.empty()) batch->out += ',';
  batch->out += answer;
  if (--batch->waiting == 0 && !batch->out.empty()) write("[" + batch->out + "]");
}

// An answer to nothing that was asked, or to a call that is over, is ignored.
void SocketSession::take_answer(const Incoming& message) {
  std::uint64_t number = 0;
  const char* end = message.id.data() + message.id.size();
  const auto [stop, error] = std::from_chars(message.id.data(), end, number);
  if (error != std::errc() || stop != end) return;
  const auto found = asked_.find(number);
  if (found == asked_.end()) return;
  OpenCall* call = found->second;
  asked_.erase(found);
  call->answer(number, *message.answer);
}

void SocketSession::write(std::string_view text) {
  if (!closed_) out_.write(http::websocket_frame(WebSocketKind::kText, text));
}

void SocketSession::close(std::uint16_t code, std::string_view reason) {
  if (std::exchange(closed_, true)) return;
  ping_timer_.cancel();
  calls_.clear();
  out_.write(http::websocket_close(code, reason));
  out_.end();
}

}  // namespace heddle::json_rpc
