#include "http/h1_server.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "http/h2_server.h"

namespace heddle::http {
namespace {

using namespace std::chrono_literals;

// What is read of a request that was answered before its end, to keep the connection; beyond it the
// connection closes.
constexpr std::size_t kMaxDrain = std::size_t{64} * 1024;
constexpr std::chrono::seconds kLingerTime{2};
// Of a kept-alive connection that drains: for what the kernel holds unread.
constexpr std::chrono::milliseconds kLastLook{20};

}  // namespace

H1ServerConnection::H1ServerConnection(ServerContext& context, net::Fd fd,
                                       const net::SocketAddress& remote)
    : H1Connection(context.worker), context_(context) {
  info_ = describe_connection(fd, remote);
  high_watermark_ = context.limits.high_watermark;
  send_timeout_ = context.limits.send_timeout;
  stream_.adopt(std::move(fd));
  context_.connections_total->add();
  context_.connections_active->add(1);
}

H1ServerConnection::H1ServerConnection(ServerContext& context, ConnectionInfo info)
    : H1Connection(context.worker),
      context_(context),
      info_(std::move(info)),
      parser_(H1Parser::Kind::kRequest, info_.tls) {
  high_watermark_ = context.limits.high_watermark;
  send_timeout_ = context.limits.send_timeout;
}

H1ServerConnection::~H1ServerConnection() = default;

void H1ServerConnection::start() {
  expect(Wait::kIdle, context_.limits.idle_timeout);
  if (context_.draining) drain();
  queue_flush();
}

void H1ServerConnection::start(net::TcpStream& from) {
  stream_.take_over(from);
  start();
}

void H1ServerConnection::process() {
  while (!closed_ && step()) {
  }
  if (!closed_ && input_ended_) handle_input_end();
}

bool H1ServerConnection::step() {
  switch (in_) {
    case In::kHead:
      return unread() > 0 && read_head();
    case In::kBody:
      return paused_ == 0 && unread() > 0 && read_body();
    case In::kBodyEnd:
      if (paused_ > 0) return false;
      deliver_body_end();
      return true;
    case In::kTunnel:
      return paused_ == 0 && unread() > 0 && read_tunnel();
    case In::kDrain:
      return unread() > 0 && drain_body();
    case In::kLinger:
      discarded_ += unread();
      discard_input();
      if (discarded_ > kMaxDrain) close();
      return false;
    case In::kUpgradeWait:
    case In::kComplete:
    case In::kTunnelEnd:
      return false;
  }
  return false;
}

bool H1ServerConnection::wants_input() const {
  switch (in_) {
    case In::kHead:
    case In::kDrain:
    case In::kLinger:
      return true;
    case In::kBody:
      return paused_ == 0;
    case In::kTunnel:
      return paused_ == 0 && unread() == 0;
    // Pipelined bytes wait; without any, the read shows that the client went away.
    case In::kBodyEnd:
    case In::kUpgradeWait:
    case In::kComplete:
      return unread() == 0;
    case In::kTunnelEnd:
      return false;
  }
  return false;
}

void H1ServerConnection::on_input_moved() {
  parser_.restart();
  head_.reset();
}

// Prior knowledge (RFC 9113 section 3.3). False: what follows is a request of HTTP/1, or more of
// the preface must come.
bool H1ServerConnection::read_h2_preface() {
  const std::size_t size = std::min(unread(), kH2Preface.size());
  if (std::string_view(unread_data(), size) != kH2Preface.substr(0, size)) {
    fresh_ = false;
    return true;
  }
  if (size < kH2Preface.size()) {
    if (waiting_for() != Wait::kHead) expect(Wait::kHead, context_.limits.head_timeout);
    return false;
  }
  auto connection = std::make_unique<H2ServerConnection>(context_, std::move(info_));
  H2ServerConnection& next = *connection;
  next.start(*this);
  close_stream();
  context_.replace(*this, std::move(connection));
  return false;
}

bool H1ServerConnection::read_head() {
  // No method is named PRI, and few begin with a P.
  if (fresh_ && *unread_data() == 'P' && context_.limits.http2.enabled) {
    if (!read_h2_preface()) return false;
  }
  if (!head_) head_ = make_head();
  switch (parser_.parse(unread_data(), unread(), context_.head_limits, *head_)) {
    case H1Parser::Verdict::kIncomplete:
      if (waiting_for() != Wait::kHead) expect(Wait::kHead, context_.limits.head_timeout);
      return false;
    case H1Parser::Verdict::kReject:
      refuse(parser_.reject());
      return true;
    case H1Parser::Verdict::kComplete:
      start_exchange();
      return true;
  }
  return false;
}

void H1ServerConnection::start_exchange() {
  sent_before_ = sent_;
  received_before_ = received_;
  consume(parser_.consumed());
  HeadPtr head = std::move(head_);
  head->block = block_;
  fresh_ = false;
  const Framing framing = parser_.request_framing();
  head_request_ = head->method() == "HEAD";
  http10_ = head->protocol == Protocol::kHttp10;
  close_after_ = !parser_.keep_alive() || context_.draining;
  const std::uint64_t max_body = context_.limits.max_body_bytes;
  if (max_body > 0 && framing.kind == BodyKind::kLength && framing.length > max_body) {
    refuse(Reject::kBodyTooLarge);
    return;
  }
  const bool end = framing.kind == BodyKind::kNone && !head->upgrade;
  body_bytes_ = 0;
  decoder_.start(framing);
  if (framing.kind != BodyKind::kNone) {
    in_ = In::kBody;
    expect(Wait::kBody, context_.limits.body_timeout);
  } else {
    in_ = end ? In::kComplete : In::kUpgradeWait;
    expect_nothing();
  }
  continue_owed_ = parser_.expects_continue() && !http10_ && in_ == In::kBody && unread() == 0;
  parser_.restart();
  paused_ = 0;
  entering_ = true;
  Receiver* const receiver = context_.handler.on_request(*this, info_, std::move(head), end);
  entering_ = false;
  if (closed_) {
    if (!failure_.empty() && receiver != nullptr)
      receiver->on_reset(StreamError::kCancelled, failure_);
    return;
  }
  if (receiver == nullptr) {
    close();
    return;
  }
  receiver_ = receiver;
  send_continue_if_wanted();
}

void H1ServerConnection::send_continue_if_wanted() {
  if (!continue_owed_ || paused_ > 0 || out_state_ != Out::kNone) return;
  continue_owed_ = false;
  output_.write(out_, "HTTP/1.1 100 Continue\r\n\r\n");
  queue_flush();
}

bool H1ServerConnection::read_body() {
  const BodyStep result = decode_body();
  expect(Wait::kBody, context_.limits.body_timeout);
  continue_owed_ = false;
  body_bytes_ += incoming_.size();
  const std::uint64_t max_body = context_.limits.max_body_bytes;
  if (max_body > 0 && body_bytes_ > max_body) {
    refuse(Reject::kBodyTooLarge);
    return true;
  }
  if (result == BodyStep::kReject) {
    refuse(decoder_.reject());
    return true;
  }
  if (result == BodyStep::kDone) {
    in_ = In::kBodyEnd;
    expect_nothing();
  }
  if (!incoming_.empty()) receiver_->on_data(incoming_, false);
  incoming_.clear();
  return true;
}

void H1ServerConnection::deliver_body_end() {
  in_ = In::kComplete;
  if (receiver_ == nullptr) return;
  if (HeadPtr trailers = decoder_.take_trailers()) {
    receiver_->on_trailers(std::move(trailers));
  } else {
    incoming_.clear();
    receiver_->on_data(incoming_, true);
  }
}

bool H1ServerConnection::read_tunnel() {
  incoming_.append(Slice{block_, unread_data(), unread()});
  discard_input();
  receiver_->on_data(incoming_, false);
  incoming_.clear();
  return true;
}

// The answer is out and the request is not in: its rest is read and dropped.
bool H1ServerConnection::drain_body() {
  const std::uint64_t before = received_;
  const BodyStep result = decode_body();
  incoming_.clear();
  discarded_ += static_cast<std::size_t>(received_ - before);
  if (result == BodyStep::kDone) {
    next_request();
  } else if (result == BodyStep::kReject || discarded_ > kMaxDrain) {
    linger();
  }
  return true;
}

// An empty line in front of a request belongs to none (RFC 9112 section 2.2).
bool H1ServerConnection::within_head() {
  return in_ == In::kHead && unread() > 0 && std::string_view(unread_data(), unread()) != "\r\n";
}

void H1ServerConnection::handle_input_end() {
  if (within_head()) {
    refuse(Reject::kCutOff);
    return;
  }
  if (input_error_ != 0) {
    fail(StreamError::kClosed, "the client reset the connection");
    return;
  }
  switch (in_) {
    case In::kHead:
    case In::kDrain:
    case In::kLinger:
      close();
      return;
    case In::kBody:
      if (paused_ == 0) fail(StreamError::kClosed, "the client closed within the request body");
      return;
    case In::kTunnel:
      if (paused_ > 0) return;
      in_ = In::kTunnelEnd;
      incoming_.clear();
      receiver_->on_data(incoming_, true);
      queue_flush();
      return;
    // Half-closed after a whole request: it still gets its answer.
    case In::kUpgradeWait:
    case In::kBodyEnd:
    case In::kComplete:
      close_after_ = true;
      return;
    case In::kTunnelEnd:
      return;
  }
}

void H1ServerConnection::resume_receiving() {
  if (paused_ == 0) return;
  if (--paused_ > 0) return;
  send_continue_if_wanted();
  process_soon();
}

void H1ServerConnection::send_informational(const HeaderMap& headers) {
  if (out_state_ != Out::kNone || http10_) return;
  Head status;
  status.headers.add_view(":status", headers.get(":status").value_or("100"));
  const int code = status.status();
  if (code < 100 || code > 199 || code == 101) return;
  if (code == 100) continue_owed_ = false;
  write_response_head(out_, output_, headers, code,
                      {.body_allowed = false, .length_allowed = false});
  note_output();
}

void H1ServerConnection::send_head(const HeaderMap& headers, bool end) {
  if (out_state_ != Out::kNone || closed_) return;
  int status = 0;
  for (const char c : headers.get(":status").value_or("200")) status = status * 10 + (c - '0');
  const bool upgrade = status == 101 && in_ == In::kUpgradeWait;
  if (in_ == In::kUpgradeWait && !upgrade) {
    in_ = In::kBodyEnd;  // there is nothing to wait for: the request ends here
    process_soon();
  }
  HeadRules rules{.end = end,
                  .body_allowed = !head_request_ && status >= 200 && status != 204 && status != 304,
                  .length_allowed = status >= 200 && status != 204,
                  .chunked_allowed = !http10_,
                  .upgrade = upgrade,
                  .add_date = status >= 200};
  if (continue_owed_ && in_ == In::kBody) close_after_ = true;  // the body will not come
  if (http10_ && !end && rules.body_allowed && !headers.contains("content-length"))
    close_after_ = true;
  if (close_after_ || context_.draining) {
    close_after_ = true;
    if (!upgrade) rules.connection = "close";
  } else if (http10_) {
    rules.connection = "keep-alive";
  }
  drop_body_ = !rules.body_allowed;
  body_writer_.start(write_response_head(out_, output_, headers, status, rules));
  note_output();
  if (upgrade) {
    out_state_ = Out::kTunnel;
    in_ = In::kTunnel;
    process_soon();
    return;
  }
  out_state_ = Out::kBody;
  if (!end) return;
  if (body_writer_.framing().kind == BodyKind::kLength) {
    fail_soon("the answer ended before its content-length");
  } else {
    finish_output();
  }
}

void H1ServerConnection::send_data(Buffer&& data, bool end) {
  if (closed_) return;
  if (out_state_ == Out::kTunnel) {
    out_.append(std::move(data));
    if (end) out_state_ = Out::kTunnelEnd;
    note_output();
    return;
  }
  if (out_state_ != Out::kBody) return;
  if (drop_body_) {
    data.clear();
    if (end) finish_output();
    return;
  }
  switch (body_writer_.write(out_, output_, std::move(data), end)) {
    case BodyWriter::Outcome::kShort:
      fail_soon("the answer ended before its content-length");
      return;
    case BodyWriter::Outcome::kExcess:
      close_after_ = true;
      end = true;
      break;
    case BodyWriter::Outcome::kGood:
      break;
  }
  note_output();
  if (end) finish_output();
}

void H1ServerConnection::send_trailers(const HeaderMap& trailers) {
  if (closed_ || out_state_ != Out::kBody) return;
  if (!drop_body_) {
    if (body_writer_.framing().kind == BodyKind::kLength && body_writer_.framing().length > 0) {
      fail_soon("the answer ended before its content-length");
      return;
    }
    body_writer_.write_trailers(out_, output_, trailers);
  }
  finish_output();
}

void H1ServerConnection::finish_output() {
  out_state_ = Out::kDone;
  note_output();
}

void H1ServerConnection::on_flushed() {
  if (out_state_ == Out::kDone) {
    end_exchange();
  } else if (out_state_ == Out::kTunnelEnd) {
    stream_.shutdown_send();
    if (in_ == In::kTunnelEnd) end_exchange();
  }
}

void H1ServerConnection::end_exchange() {
  Receiver* const receiver = std::exchange(receiver_, nullptr);
  if (receiver != nullptr) receiver->on_complete();
  if (closed_) return;
  out_state_ = Out::kNone;
  const bool tunnel = in_ == In::kTunnelEnd;
  if (in_ == In::kBody && !close_after_) {
    in_ = In::kDrain;
    discarded_ = 0;
    expect(Wait::kBody, context_.limits.body_timeout);
    if (decoder_.kind() == BodyKind::kLength && decoder_.left() > kMaxDrain) {
      linger();
    } else {
      process_soon();
    }
  } else if (tunnel || (close_after_ && !must_linger_ && in_ != In::kBody && unread() == 0)) {
    close();
  } else if (close_after_) {
    linger();
  } else {
    next_request();
  }
}

void H1ServerConnection::next_request() {
  in_ = In::kHead;
  paused_ = 0;
  expect(Wait::kIdle, context_.limits.idle_timeout);
  if (context_.draining && unread() == 0) {
    close();
    return;
  }
  if (unread() > 0 || input_ended_) process_soon();
}

// Closing with unread input would make the kernel send a reset, which may destroy the answer on its
// way.
void H1ServerConnection::linger() {
  stream_.shutdown_send();
  in_ = In::kLinger;
  discarded_ = 0;
  expect(Wait::kLinger, kLingerTime);
  process_soon();
}

// Answers what cannot be given to the handler, or not any further, and closes.
void H1ServerConnection::refuse(Reject reject) {
  context_.count(reject);
  const RejectInfo& what = info(reject);
  if (Receiver* const receiver = std::exchange(receiver_, nullptr)) {
    const StreamError error = reject == Reject::kBodyTimeout ? StreamError::kTimeout
                              : is_limit(reject)             ? StreamError::kTooLarge
                                                             : StreamError::kProtocol;
    incoming_.clear();
    receiver->on_reset(error, what.text);
    if (closed_) return;
  }
  if (out_state_ !=
      Out::kNone) {  // the answer began: it cannot be taken back, and must not look whole
    stream_.abort();
    close();
    return;
  }
  expect_nothing();
  in_ = In::kComplete;
  close_after_ = must_linger_ = true;
  const std::string body = context_.handler.on_bad_request(info_, what.status, what.text);
  const HeadPtr head = make_head();
  head->headers.add_view("content-type", "application/json");
  head->headers.add("content-length", std::to_string(body.size()));
  write_response_head(out_, output_, head->headers, what.status,
                      {.add_date = true, .connection = "close"});
  if (!head_request_) out_.append(body);
  finish_output();
}

void H1ServerConnection::on_write_failed(int error) {
  (void)error;
  fail(StreamError::kClosed, "the client closed while the answer was written");
}

void H1ServerConnection::on_below_watermark() {
  if (receiver_ != nullptr) receiver_->on_writable();
}

void H1ServerConnection::on_wait_expired(Wait wait) {
  switch (wait) {
    case Wait::kHead:
      refuse(Reject::kHeadTimeout);
      return;
    case Wait::kBody:
      if (in_ == In::kDrain) {
        close();
      } else if (paused_ > 0) {
        expect(Wait::kBody, context_.limits.body_timeout);  // this side does not read
      } else {
        refuse(Reject::kBodyTimeout);
      }
      return;
    case Wait::kIdle:
    case Wait::kLinger:
    case Wait::kConnect:
    case Wait::kNothing:
      close();
      return;
  }
}

void H1ServerConnection::on_send_expired() {
  context_.send_timeout_hits->add();
  fail(StreamError::kTimeout, "the client did not take the answer within send_timeout");
}

void H1ServerConnection::fail(StreamError error, std::string_view detail) {
  Receiver* const receiver = std::exchange(receiver_, nullptr);
  if (out_state_ != Out::kNone) stream_.abort();
  close();
  if (receiver != nullptr) receiver->on_reset(error, detail);
}

// From within a Sender call: the receiver hears of it when that returned, before this goes.
void H1ServerConnection::fail_soon(std::string_view detail) {
  Receiver* const receiver = std::exchange(receiver_, nullptr);
  if (entering_) failure_ = detail;  // the receiver is not known yet
  if (receiver != nullptr) {
    worker_.defer([receiver, detail = std::string(detail)] {
      receiver->on_reset(StreamError::kCancelled, detail);
    });
  }
  stream_.abort();
  close();
}

void H1ServerConnection::reset(StreamError error) {
  (void)error;
  if (closed_) return;
  receiver_ = nullptr;
  if (out_state_ != Out::kNone) stream_.abort();
  close();
}

// A request may be on its way, or with the kernel already: it still gets its answer.
void H1ServerConnection::drain() {
  close_after_ = true;
  if (in_ != In::kHead || in_exchange() || unread() > 0) return;
  expect(Wait::kIdle, received_ == 0 ? kFirstRequestTime : kLastLook);
}

void H1ServerConnection::abort() {
  fail(StreamError::kClosed, "the listener was aborted");
}

void H1ServerConnection::close() {
  if (closed_) return;
  close_stream();
  context_.connections_active->add(-1);
  context_.remove(*this);
}

}  // namespace heddle::http
