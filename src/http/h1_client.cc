#include "http/h1_client.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace heddle::http {
namespace {

constexpr std::array<std::string_view, 1> kHttp1Alpn = {"http/1.1"};

}  // namespace

H1ClientConnection::H1ClientConnection(H1ClientPool& pool, H1Endpoint& endpoint)
    : H1Connection(pool.context.worker), pool_(pool), endpoint_(endpoint) {
  can_write_ = false;
  info.connection_id = ++pool.context.last_connection_id;
}

H1ClientConnection::~H1ClientConnection() = default;

void H1ClientConnection::connect(std::chrono::nanoseconds timeout) {
  connector_ = std::make_unique<ClientConnector>(pool_.context, endpoint_, info, *this);
  connector_->start(timeout, kHttp1Alpn);
}

void H1ClientConnection::start(ClientConnector& connector, std::chrono::nanoseconds idle_timeout) {
  info.remote_address = connector.info().remote_address;
  info.local_address = connector.info().local_address;
  info.tls = connector.info().tls;
  stream_.take_over(connector.stream());
  can_write_ = true;
  expect(Wait::kIdle, idle_timeout);
  queue_flush();
}

void H1ClientConnection::on_connected(ClientConnector& connector) {
  stream_.take_over(connector.stream());
  worker_.defer([gone = std::move(connector_)] {});
  can_write_ = true;
  expect_nothing();
  queue_flush();
}

void H1ClientConnection::on_not_connected(StreamError error, std::string_view detail) {
  fail(error, detail);
}

void H1ClientConnection::attach(H1ClientStream& stream) {
  exchange_ = &stream;
  stream.connection = this;
  stream.sent_before = sent_;
  stream.received_before = received_;
  high_watermark_ = stream.limits.high_watermark;
  in_ = In::kHead;
  parser_.restart();
  head_.reset();
  informational_ = 0;
  answered_ = false;
  kept_.clear();
  keep_ = info.reused && stream.idempotent;
  if (can_write_) expect_nothing();
}

void H1ClientConnection::process() {
  while (!closed_ && step()) {
  }
  if (closed_) return;
  if (input_ended_) {
    handle_input_end();
    if (closed_) return;
  }
  maybe_complete();
}

bool H1ClientConnection::step() {
  if (exchange_ != nullptr && unread() > 0 && !answered_) {
    answered_ = true;
    keep_ = false;
    kept_.clear();
  }
  const bool paused = exchange_ != nullptr && exchange_->paused > 0;
  switch (in_) {
    case In::kIdle:
      if (unread() > 0) close();  // nobody asked
      return false;
    case In::kHead:
      return unread() > 0 && read_head();
    case In::kBody:
      return !paused && unread() > 0 && read_body();
    case In::kBodyEnd: {
      if (paused) return false;
      in_ = In::kDone;
      if (HeadPtr trailers = decoder_.take_trailers()) {
        exchange_->receiver->on_trailers(std::move(trailers));
      } else {
        incoming_.clear();
        exchange_->receiver->on_data(incoming_, true);
      }
      return false;
    }
    case In::kTunnel:
      return !paused && unread() > 0 && read_tunnel();
    case In::kDone:
    case In::kTunnelEnd:
      return false;
  }
  return false;
}

bool H1ClientConnection::wants_input() const {
  const bool paused = exchange_ != nullptr && exchange_->paused > 0;
  switch (in_) {
    case In::kIdle:
    case In::kHead:
      return true;
    case In::kBody:
      return !paused;
    case In::kTunnel:
      return !paused && unread() == 0;
    case In::kBodyEnd:
    case In::kDone:
      return unread() == 0;
    case In::kTunnelEnd:
      return false;
  }
  return false;
}

void H1ClientConnection::on_input_moved() {
  parser_.restart();
  head_.reset();
}

bool H1ClientConnection::read_head() {
  if (!head_) head_ = make_head();
  const HeadLimits limits{.max_head_bytes = exchange_->limits.max_head_bytes,
                          .max_headers = exchange_->limits.max_headers};
  switch (parser_.parse(unread_data(), unread(), limits, *head_)) {
    case H1Parser::Verdict::kIncomplete:
      return false;
    case H1Parser::Verdict::kReject: {
      const bool limit = is_limit(parser_.reject());
      if (limit) pool_.context.head_limit_hits->add();
      fail(limit ? StreamError::kTooLarge : StreamError::kProtocol,
           http::info(parser_.reject()).text);
      return false;
    }
    case H1Parser::Verdict::kComplete:
      return take_head();
  }
  return false;
}

bool H1ClientConnection::take_head() {
  consume(parser_.consumed());
  HeadPtr head = std::move(head_);
  head->block = block_;
  const int status = head->status();
  const Framing framing = parser_.response_framing(status, exchange_->head_request);
  keep_alive_ = parser_.keep_alive() && framing.kind != BodyKind::kUntilClose;
  parser_.restart();
  if (status < 200 && status != 101) {
    if (++informational_ > kMaxInformational) {
      fail(StreamError::kProtocol, "too many informational responses");
      return false;
    }
    exchange_->receiver->on_informational(std::move(head));
    return exchange_ != nullptr;
  }
  if (status == 101) {
    if (!exchange_->upgrade || !head->upgrade) {
      fail(StreamError::kProtocol, "a 101 that nobody asked for");
      return false;
    }
    in_ = In::kTunnel;
    exchange_->tunnel = true;
    exchange_->request_end = false;
    exchange_->receiver->on_head(std::move(head), false);
    return exchange_ != nullptr;
  }
  if (exchange_->upgrade) exchange_->request_end = true;  // refused: the request ends here
  const bool end = framing.kind == BodyKind::kNone;
  decoder_.start(framing);
  in_ = end ? In::kDone : In::kBody;
  exchange_->receiver->on_head(std::move(head), end);
  return exchange_ != nullptr;
}

bool H1ClientConnection::read_body() {
  const BodyStep result = decode_body();
  if (result == BodyStep::kReject) {
    incoming_.clear();
    fail(StreamError::kProtocol, http::info(decoder_.reject()).text);
    return false;
  }
  if (result == BodyStep::kDone) in_ = In::kBodyEnd;
  if (!incoming_.empty()) exchange_->receiver->on_data(incoming_, false);
  incoming_.clear();
  return exchange_ != nullptr;
}

bool H1ClientConnection::read_tunnel() {
  incoming_.append(Slice{block_, unread_data(), unread()});
  discard_input();
  exchange_->receiver->on_data(incoming_, false);
  incoming_.clear();
  return exchange_ != nullptr;
}

void H1ClientConnection::handle_input_end() {
  const bool paused = exchange_ != nullptr && exchange_->paused > 0;
  switch (in_) {
    case In::kIdle:
      close();
      return;
    case In::kHead:
      if (!replay()) fail(StreamError::kClosed, "the upstream closed before its response");
      return;
    case In::kBody:
      if (paused && unread() > 0) return;
      if (input_error_ == 0 && decoder_.finish_at_close()) {
        in_ = In::kBodyEnd;
        step();
        return;
      }
      fail(StreamError::kClosed, "the upstream closed within the response body");
      return;
    case In::kTunnel:
      if (input_error_ != 0) {
        fail(StreamError::kClosed, "the upstream reset the connection");
        return;
      }
      if (paused) return;
      in_ = In::kTunnelEnd;
      incoming_.clear();
      exchange_->receiver->on_data(incoming_, true);
      queue_flush();
      return;
    case In::kTunnelEnd:
    case In::kBodyEnd:
    case In::kDone:
      return;
  }
}

// The exchange is over when both messages are; or when the response is and nobody can take the rest
// of the request.
void H1ClientConnection::maybe_complete() {
  if (closed_ || exchange_ == nullptr) return;
  const bool sent = exchange_->request_end && out_.empty();
  const bool broken = input_ended_ || write_broken_;
  if (in_ == In::kDone && (sent || broken || !keep_alive_)) complete();
  if (in_ == In::kTunnelEnd && (sent || write_broken_)) complete();
}

void H1ClientConnection::complete() {
  H1ClientStream& done = *std::exchange(exchange_, nullptr);
  served = true;
  const bool reusable = in_ == In::kDone && keep_alive_ && !input_ended_ && !write_broken_ &&
                        !retired && done.request_end && out_.empty() && unread() == 0 &&
                        endpoint_.idle.size() < done.limits.max_idle;
  if (reusable) {
    in_ = In::kIdle;
    endpoint_.idle.push_back(this);
    expect(Wait::kIdle, done.limits.idle_timeout);
    queue_flush();
  } else {
    close();
  }
  done.complete();
}

void H1ClientConnection::on_flushed() {
  if (in_ != In::kTunnel && in_ != In::kTunnelEnd) {
    maybe_complete();
    return;
  }
  if (exchange_ == nullptr || !exchange_->request_end) return;
  stream_.shutdown_send();
  maybe_complete();
}

Buffer* H1ClientConnection::sent_sink() {
  if (keep_ && kept_.size() > kMaxReplay) {
    keep_ = false;
    kept_.clear();
  }
  return keep_ ? &kept_ : nullptr;
}

// The peer may have answered before it closed: what it sent is read first.
void H1ClientConnection::on_write_failed(int error) {
  if (in_ == In::kTunnel || in_ == In::kTunnelEnd) {
    fail(StreamError::kClosed, std::strerror(error));
    return;
  }
  write_broken_ = true;
  if (keep_) kept_.append(std::move(out_));
  out_.clear();
  if (input_ended_) process_soon();
}

void H1ClientConnection::on_below_watermark() {
  if (exchange_ != nullptr) exchange_->receiver->on_writable();
}

void H1ClientConnection::on_wait_expired(Wait wait) {
  (void)wait;
  close();
}

void H1ClientConnection::on_send_expired() {
  pool_.context.send_timeout_hits->add();
  fail(StreamError::kTimeout, "the upstream did not take the request within send_timeout");
}

// A request that met a connection which the peer had closed meanwhile goes out once more, on a
// fresh one.
bool H1ClientConnection::replay() {
  if (!keep_ || answered_ || exchange_ == nullptr) return false;
  H1ClientStream& again = *std::exchange(exchange_, nullptr);
  Buffer request = std::move(kept_);
  request.append(std::move(out_));
  H1ClientConnection& fresh = pool_.connect_unlimited(endpoint_, again.limits);
  fresh.attach(again);
  fresh.out().append(std::move(request));
  fresh.wrote();
  close();
  return true;
}

void H1ClientConnection::fail(StreamError error, std::string_view detail) {
  H1ClientStream* const failed = std::exchange(exchange_, nullptr);
  close();
  if (failed != nullptr) failed->fail(error, detail);
}

void H1ClientConnection::abandon() {
  exchange_ = nullptr;
  close();
}

void H1ClientConnection::close() {
  if (closed_) return;
  if (connector_) connector_->cancel();
  close_stream();
  pool_.remove(endpoint_, *this);
}

}  // namespace heddle::http
