// How a client connection of HTTP/2 comes about, waits and ends.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "http/h2_client.h"
#include "net/worker.h"

namespace heddle::http {
namespace {

constexpr std::array<std::string_view, 1> kHttp2Alpn = {"h2"};
// How long a GOAWAY, or the end of the input after a failed write, may take.
constexpr std::chrono::seconds kLingerTime{2};

}  // namespace

void H2ClientConnection::connect() {
  connector_ = std::make_unique<ClientConnector>(pool_.context, endpoint_, info, *this);
  connector_->start(limits_.connect_timeout, kHttp2Alpn);
}

void H2ClientConnection::start(ClientConnector& connector) {
  info.remote_address = connector.info().remote_address;
  info.local_address = connector.info().local_address;
  info.tls = connector.info().tls;
  begin(connector);
}

void H2ClientConnection::on_connected(ClientConnector& connector) {
  if (endpoint_.target.tls != nullptr && connector.alpn() != kHttp2Alpn.front()) {
    on_not_connected(StreamError::kRefused, "upstream " + endpoint_.target.endpoint +
                                                " does not speak HTTP/2 (ALPN chose no h2)");
    return;
  }
  begin(connector);
  worker_.defer([gone = std::move(connector_)] {});
}

void H2ClientConnection::begin(ClientConnector& connector) {
  stream_.take_over(connector.stream());
  can_write_ = true;
  wait_for_more();
  queue_flush();
}

void H2ClientConnection::on_not_connected(StreamError error, std::string_view detail) {
  end_streams(error, detail);
  close();
}

void H2ClientConnection::process() {
  H2Connection::process();
  if (!closed_ && input_ended_) handle_input_end();
}

// What the upstream has answered as a whole is still delivered.
void H2ClientConnection::handle_input_end() {
  retired_ = true;
  std::string detail = !greeted_          ? "the upstream closed without a word of HTTP/2"
                       : !goaway_.empty() ? goaway_
                                          : "the upstream closed before the end of its response";
  if (input_error_ != 0) detail = detail + " (" + std::strerror(input_error_) + ")";
  end_streams(StreamError::kClosed, detail);
  if (!closed_ && streams_.empty()) close();
}

// Streams whose response is there as a whole stay until it is delivered.
void H2ClientConnection::end_streams(StreamError error, std::string_view detail) {
  for (;;) {
    const auto open = std::ranges::find_if(
        streams_, [](const H2Stream* stream) { return !stream->incoming_end; });
    if (closed_ || open == streams_.end()) break;
    auto& stream = static_cast<H2ClientStream&>(**open);
    stream.session_closed = true;
    if (error == StreamError::kClosed && stream.idempotent && info.reused && stream.can_move()) {
      stream.move();
    } else {
      fail(stream, error, detail);
    }
  }
  for (;;) {
    const auto ended = std::ranges::find_if(
        streams_, [](const H2Stream* stream) { return !stream->session_closed; });
    if (closed_ || ended == streams_.end()) break;
    (*ended)->session_closed = true;
    complete_if_done(static_cast<H2ClientStream&>(**ended));
  }
}

void H2ClientConnection::on_goaway(const nghttp2_goaway& goaway) {
  retired_ = true;
  goaway_ = "the upstream ended the connection with ";
  goaway_ += h2_error_name(goaway.error_code);
}

// An HTTP/2 error, or everything is done after a GOAWAY.
void H2ClientConnection::on_session_end(std::string_view detail) {
  retired_ = true;
  end_streams(StreamError::kProtocol,
              detail.empty() ? "the upstream broke the rules of HTTP/2" : detail);
  if (!closed_ && streams_.empty()) close();
}

// The upstream may have answered before it closed: what it sent is read first.
void H2ClientConnection::on_write_failed(int /*error*/) {
  retired_ = true;
  out_.clear();
  expect(Wait::kLinger, kLingerTime);
  if (input_ended_) process_soon();
}

void H2ClientConnection::wait_for_more() {
  if (!streams_.empty()) {
    const auto keepalive = limits_.http2_keepalive;
    expect(Wait::kBody, keepalive.count() > 0 ? std::min(keepalive, send_timeout_) : send_timeout_);
  } else if (retired_) {
    end();
  } else {
    expect(Wait::kIdle, limits_.idle_timeout);
  }
}

void H2ClientConnection::on_wait_expired(Wait wait) {
  switch (wait) {
    case Wait::kBody:
      watch_streams();
      return;
    case Wait::kIdle:
      end();
      return;
    default:
      end_streams(StreamError::kClosed, "the connection to the upstream broke");
      close();
  }
}

void H2ClientConnection::watch_streams() {
  const Nanoseconds now = worker_.now();
  if (!peer_lives()) {
    end_streams(StreamError::kTimeout, "the upstream does not answer to PING");
    close();
    return;
  }
  Nanoseconds next = now + send_timeout_.count();
  while (H2Stream* const late = expired_stream(now, next)) {
    pool_.context.send_timeout_hits->add();
    fail(static_cast<H2ClientStream&>(*late), StreamError::kTimeout,
         "the upstream did not take the request within send_timeout");
    if (closed_) return;
  }
  if (limits_.http2_keepalive.count() > 0)
    next = std::min(next, now + limits_.http2_keepalive.count());
  if (streams_.empty()) {
    wait_for_more();
  } else {
    expect(Wait::kBody, std::chrono::nanoseconds(next - now));
  }
}

// A connection on which nothing came for a while is asked for a sign of life.
bool H2ClientConnection::peer_lives() {
  if (limits_.http2_keepalive.count() == 0) return true;
  const bool silent = std::exchange(received_at_check_, received_) == received_;
  if (silent && pinged_) return false;
  pinged_ = silent;
  if (silent && !ending_) {
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    queue_flush();
  }
  return true;
}

void H2ClientConnection::on_send_expired() {
  pool_.context.send_timeout_hits->add();
  end_streams(StreamError::kTimeout, "the upstream did not take the request within send_timeout");
  close();
}

void H2ClientConnection::on_limit(Http2Limit limit) {
  pool_.context.http2_limit_hits[static_cast<std::size_t>(limit)]->add();
  worker_.log().warn("an upstream passed a limit of HTTP/2",
                     {{"endpoint", endpoint_.target.endpoint},
                      {"limit", kHttp2LimitNames[static_cast<std::size_t>(limit)]},
                      {"streams", streams_.size()}});
}

void H2ClientConnection::retire() {
  retired_ = true;
  close_if_unused();
}

void H2ClientConnection::close_if_unused() {
  if (streams_.empty() && !closed_) end();
}

// GOAWAY, then close.
void H2ClientConnection::end() {
  if (!can_write_ || input_ended_) {
    close();
    return;
  }
  terminate(NGHTTP2_NO_ERROR);
  expect(Wait::kLinger, kLingerTime);
}

void H2ClientConnection::close() {
  if (closed_) return;
  if (connector_) connector_->cancel();
  while (!streams_.empty()) {
    auto& stream = static_cast<H2ClientStream&>(*streams_.back());
    stream.session_closed = true;
    fail(stream, StreamError::kClosed, "the connection to the upstream closed");
  }
  close_stream();
  pool_.remove(endpoint_, *this);
}

}  // namespace heddle::http
