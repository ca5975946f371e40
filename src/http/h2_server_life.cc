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

// Between exchanges, or while some are under way: then deadlines of streams count.
void H2ServerConnection::wait_for_more() {
  if (drain_ == Drain::kAnnounced) return;  // the notice's time runs
  if (streams_.empty()) {
    expect(Wait::kIdle, context_.limits.idle_timeout);
  } else {
    expect(Wait::kBody, std::min(context_.limits.body_timeout, context_.limits.send_timeout));
  }
}

void H2ServerConnection::on_wait_expired(Wait wait) {
  switch (wait) {
    case Wait::kHead:
      tell(Reject::kHeadTimeout);
      told_end_ = true;
      terminate(NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    case Wait::kBody:
      scan_streams();
      return;
    case Wait::kConnect:  // the notice of drain()
      announce_end();
      return;
    case Wait::kIdle:
      terminate(NGHTTP2_NO_ERROR);
      return;
    case Wait::kLinger:
    case Wait::kNothing:
      close();
      return;
  }
}

void H2ServerConnection::scan_streams() {
  const Nanoseconds now = worker_.now();
  for (;;) {
    Nanoseconds next =
        now + std::min(context_.limits.body_timeout, context_.limits.send_timeout).count();
    H2Stream* const late = expired_stream(now, next);
    if (late == nullptr) {
      expect(
          streams_.empty() ? Wait::kIdle : Wait::kBody,
          streams_.empty() ? context_.limits.idle_timeout : std::chrono::nanoseconds(next - now));
      return;
    }
    auto& stream = static_cast<H2ServerStream&>(*late);
    if (stream.send_deadline != 0 && stream.send_deadline <= now) {
      context_.send_timeout_hits->add();
      fail(stream, StreamError::kTimeout, "the client did not take the answer within send_timeout");
    } else {
      stream.receive_deadline = 0;
      refuse(stream, Reject::kBodyTimeout);
    }
    if (closed_) return;
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
  expect(Wait::kConnect, kDrainNotice);
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
