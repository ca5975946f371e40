// How a server connection of HTTP/2 waits, drains and ends.
#include <algorithm>
#include <utility>

#include "http/h2_server.h"

namespace heddle::http {
namespace {

constexpr std::chrono::seconds kLingerTime{2};
// How long a client may go on opening streams after it was told that the connection ends.
constexpr std::chrono::seconds kDrainNotice{1};

}  // namespace

void H2ServerStream::start_exchange() {
  clear();
  head_request = upgrade_waits = tunnel = continue_owed = finishing = false;
}

H2ServerConnection& H2ServerStream::server() const {
  return static_cast<H2ServerConnection&>(*connection);
}

void H2ServerStream::send_informational(const HeaderMap& headers) {
  const std::string_view status = headers.get(":status").value_or("100");
  if (connection == nullptr || head_sent || status.size() != 3 || !status.starts_with('1') ||
      status == "101") {
    return;
  }
  server().send_informational(*this, headers, status);
}

void H2ServerStream::send_head(const HeaderMap& headers, bool end) {
  if (connection != nullptr) server().send_head(*this, headers, end);
}

void H2ServerStream::resume_receiving() {
  resume();
  if (connection != nullptr) server().send_continue_if_wanted(*this);
}

void H2ServerStream::reset(StreamError error) {
  if (connection != nullptr) server().give_up(*this, error);
}

// Between exchanges, or while something has a deadline of its own.
void H2ServerConnection::wait_for_more() {
  if (streams_.empty() && head_deadline_ == 0 && notice_deadline_ == 0) {
    expect(Wait::kIdle, context_.limits.idle_timeout);
  } else {
    look_by(next_look());
  }
}

// When something may be late that is not yet known to be: a stream is no sooner than this.
Nanoseconds H2ServerConnection::next_look() const {
  Nanoseconds next =
      worker_.now() + std::min(context_.limits.body_timeout, context_.limits.send_timeout).count();
  for (const Nanoseconds deadline : {head_deadline_, notice_deadline_})
    if (deadline != 0) next = std::min(next, deadline);
  return next;
}

// Never postpones a look.
void H2ServerConnection::look_by(Nanoseconds when) {
  if (waiting_for() == Wait::kBody && look_at_ <= when) return;
  look_at_ = when;
  expect(Wait::kBody, std::chrono::nanoseconds(when - worker_.now()));
}

void H2ServerConnection::on_wait_expired(Wait wait) {
  switch (wait) {
    case Wait::kBody:
      look();
      return;
    case Wait::kIdle:
      terminate(NGHTTP2_NO_ERROR);
      return;
    case Wait::kConnect:
    case Wait::kHead:
    case Wait::kLinger:
    case Wait::kNothing:
      close();
      return;
  }
}

// At what has waited too long.
void H2ServerConnection::look() {
  const Nanoseconds now = worker_.now();
  if (head_deadline_ != 0 && head_deadline_ <= now) {
    tell(Reject::kHeadTimeout);
    told_end_ = true;
    terminate(NGHTTP2_ENHANCE_YOUR_CALM);
    return;
  }
  if (notice_deadline_ != 0 && notice_deadline_ <= now) announce_end();
  Nanoseconds next = next_look();
  while (H2Stream* const late = expired_stream(now, next)) {
    give_up_late(static_cast<H2ServerStream&>(*late), now);
    if (closed_) return;
    next = next_look();
  }
  if (streams_.empty()) {
    wait_for_more();
  } else {
    look_by(next);
  }
}

void H2ServerConnection::give_up_late(H2ServerStream& stream, Nanoseconds now) {
  if (stream.send_deadline != 0 && stream.send_deadline <= now) {
    context_.send_timeout_hits->add();
    fail(stream, StreamError::kTimeout, "the client did not take the answer within send_timeout");
  } else {
    stream.receive_deadline = 0;
    refuse(stream, Reject::kBodyTimeout);
  }
}

void H2ServerConnection::on_send_expired() {
  context_.send_timeout_hits->add();
  fail_all(StreamError::kTimeout, "the client did not take the answer within send_timeout");
  if (!closed_) stream_.abort();
  close();
}

void H2ServerConnection::on_write_failed(int error) {
  (void)error;
  fail_all(StreamError::kClosed, "the client closed while the answer was written");
  close();
}

// In two steps (RFC 9113 section 6.8): requests that are on their way still get their answer.
void H2ServerConnection::drain() {
  if (drain_ != Drain::kNone || ending_ || closed_) return;
  drain_ = Drain::kAnnounced;
  nghttp2_submit_shutdown_notice(session_);
  notice_deadline_ = worker_.now() + to_nanoseconds(kDrainNotice);
  look_by(notice_deadline_);
  queue_flush();
}

// nghttp2 would send a PING before the notice; then its answer would not say that the notice came.
void H2ServerConnection::on_sent_goaway() {
  if (drain_ == Drain::kAnnounced) nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
}

void H2ServerConnection::on_ping_ack() {
  if (drain_ == Drain::kAnnounced) announce_end();
}

void H2ServerConnection::announce_end() {
  drain_ = Drain::kFinal;
  notice_deadline_ = 0;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  wait_for_more();
  queue_flush();
}

void H2ServerConnection::on_session_end(std::string_view detail) {
  if (!detail.empty() && !std::exchange(told_end_, true)) {
    context_.count(Reject::kMalformedHttp2);
    context_.handler.on_bad_request(info_, 400, detail);
  }
  fail_all(StreamError::kProtocol, detail.empty() ? "the HTTP/2 connection ended" : detail);
  if (!closed_) linger();
}

// Closing with unread input would make the kernel send a reset, which may destroy what is on its
// way.
void H2ServerConnection::linger() {
  if (std::exchange(lingering_, true)) return;
  stream_.shutdown_send();
  expect(Wait::kLinger, kLingerTime);
  process_soon();
}

void H2ServerConnection::abort() {
  fail_all(StreamError::kClosed, "the listener was aborted");
  close();
}

void H2ServerConnection::fail_all(StreamError error, std::string_view detail) {
  while (!streams_.empty() && !closed_) {
    auto& stream = static_cast<H2ServerStream&>(*streams_.back());
    stream.session_closed = true;
    fail(stream, error, detail);
  }
}

void H2ServerConnection::close() {
  if (closed_) return;
  fail_all(StreamError::kClosed, "the connection closed");
  if (closed_) return;
  close_stream();
  context_.connections_active->add(-1);
  context_.remove(*this);
}

}  // namespace heddle::http
