#include "messaging/push_session.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/json_write.h"
#include "messaging/api_requests.h"
#include "messaging/json.h"

namespace heddle::messaging {

using http::WebSocketKind;

namespace {

constexpr std::size_t kBatch = 20;  // messages that are read ahead of the client
constexpr std::chrono::seconds kPingInterval{20};

constexpr std::uint16_t kNormal = 1000;
constexpr std::uint16_t kGoingAway = 1001;
constexpr std::uint16_t kNotUnderstood = 1008;
constexpr std::uint16_t kTryLater = 1013;
constexpr std::uint16_t kUnauthorized = 4401;

}  // namespace

Task<> PushSession::run(net::Worker& worker, std::shared_ptr<PushSession> self) {
  const MessageService::Busy busy(self->api_.service());
  auto account = co_await self->api_.caller(worker, self->request_);
  auto fetch = parse_fetch(self->request_->query, self->api_.service().settings());
  if (self->out_ == nullptr) co_return;
  if (!account || !fetch) {
    Out* out = std::exchange(self->out_, nullptr);
    out->refuse(Api::answer_of(account ? fetch.error() : account.error()));
    co_return;
  }
  self->out_->switch_protocols();
  co_await self->serve(worker, *account, std::move(*fetch));
  // What the client asked for last counts, though it does not wait for the answer.
  if (self->acknowledged_ && !self->unwelcome_) {
    co_await self->api_.service().acknowledge(worker, std::move(*account), *self->acknowledged_);
  }
  if (self->out_ == nullptr) co_return;
  self->close(self->request_->bell->closed() ? kGoingAway : kNormal, {});
  std::exchange(self->out_, nullptr)->end();
}

Task<> PushSession::serve(net::Worker& worker, Account account, FetchRequest fetch) {
  fetch.limit = kBatch;
  fetch.wait = {};
  fetch.silent_when_empty = true;
  const Hub::Subscription subscription(api_.service().hub(), account.identity_key, request_->bell);
  next_ping_ = monotonic_now() + to_nanoseconds(kPingInterval);
  while (!over()) {
    if (!co_await check_token(worker)) co_return;
    // A client that does not read is written nothing, whatever it sends.
    if (paused_ == 0) {
      if (pong_) write(WebSocketKind::kPong, *std::exchange(pong_, std::nullopt));
      if (acknowledged_ && !co_await acknowledge(worker, account)) co_return;
      // What is left in the mailbox is asked for again before anything is waited for.
      if (!over() && co_await push(worker, account, fetch)) continue;
    }
    if (over() || !check_life()) co_return;
    if (acknowledged_ && paused_ == 0) continue;
    co_await request_->bell->wait(kPingInterval);
  }
}

// Before every push, from the cache: a stream ends with its token.
Task<bool> PushSession::check_token(net::Worker& worker) {
  auto account = co_await api_.caller(worker, request_);
  if (over()) co_return false;
  if (account) co_return true;
  unwelcome_ = account.error().status == 401;
  if (unwelcome_) {
    close(kUnauthorized, "the token has ended");
  } else {
    close(kTryLater, account.error().message);
  }
  co_return false;
}

// Whether there may be more.
Task<bool> PushSession::push(net::Worker& worker, Account account, FetchRequest& fetch) {
  auto found = co_await api_.service().fetch(worker, account, fetch, request_->bell);
  if (over()) co_return false;
  if (!found) {
    close(kTryLater, found.error().message);
    stop();
    co_return false;
  }
  for (const StoredMessage& message : *found) {
    boost::json::object text = describe(message);
    text["type"] = "message";
    write(WebSocketKind::kText, write_json(text));
    fetch.after = message.seq;
    if (over()) co_return false;
  }
  co_return !found->empty();
}

Task<bool> PushSession::acknowledge(net::Worker& worker, Account account) {
  const std::uint64_t up_to = *std::exchange(acknowledged_, std::nullopt);
  auto done = co_await api_.service().acknowledge(worker, std::move(account), up_to);
  if (over()) co_return false;
  if (!done) {
    close(kTryLater, done.error().message);
    co_return false;
  }
  write(WebSocketKind::kText,
        write_json(boost::json::object{
            {"type", "acknowledged"}, {"up_to", up_to}, {"acknowledged", *done}}));
  co_return !over();
}

// Pings now and then; false: the client does not answer.
bool PushSession::check_life() {
  const Nanoseconds now = monotonic_now();
  if (paused_ > 0 || now < next_ping_) return true;
  next_ping_ = now + to_nanoseconds(kPingInterval);
  if (!std::exchange(heard_, false)) return false;
  write(WebSocketKind::kPing, {});
  return !over();
}

void PushSession::on_bytes(std::string_view bytes) {
  heard_ = true;
  reader_.add(bytes);
  while (!over()) {
    auto message = reader_.next();
    if (!message) {
      close(message.error(), {});
      stop();
      return;
    }
    if (!*message) return;
    on_message(**message);
  }
}

void PushSession::on_message(const http::WebSocketMessage& message) {
  switch (message.kind) {
    case WebSocketKind::kPing:
      // Only the last one needs an answer (RFC 6455 section 5.5.3).
      if (paused_ > 0) {
        pong_ = message.payload;
        return;
      }
      return write(WebSocketKind::kPong, message.payload);
    case WebSocketKind::kPong:
      return;
    case WebSocketKind::kClose:
      close(kNormal, {});
      return stop();
    default:
      break;
  }
  auto object = parse_object(message.payload);
  const auto* type = object ? object->if_contains("type") : nullptr;
  const bool is_ack = type != nullptr && type->is_string() && type->as_string() == "ack";
  auto up_to = is_ack ? parse_up_to(*object) : refuse(400, "bad_request", "not an ack");
  if (!up_to) {
    close(kNotUnderstood, R"(send {"type":"ack","up_to":N})");
    return stop();
  }
  acknowledged_ = std::max(acknowledged_.value_or(0), *up_to);
  request_->bell->ring();
}

void PushSession::resume() {
  if (--paused_ == 0) request_->bell->ring();
}

void PushSession::detach() {
  out_ = nullptr;
  request_->bell->ring();
}

void PushSession::stop() {
  stopped_ = true;
  request_->bell->ring();
}

void PushSession::close(std::uint16_t code, std::string_view reason) {
  if (out_ == nullptr || std::exchange(closed_, true)) return;
  out_->write(http::websocket_close(code, reason));
}

void PushSession::write(WebSocketKind kind, std::string_view payload) {
  if (out_ == nullptr || closed_) return;
  out_->write(http::websocket_frame(kind, payload));
}

}  // namespace heddle::messaging
