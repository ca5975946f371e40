#include "http/h2_client.h"

#include <algorithm>
#include <utility>

#include "http/h1_reject.h"
#include "http/websocket.h"

namespace heddle::http {
namespace {

H2ClientStream& client_stream(H2Stream& stream) {
  return static_cast<H2ClientStream&>(stream);
}

}  // namespace

H2ClientConnection::H2ClientConnection(H2ClientPool& pool, H2Endpoint& endpoint,
                                       const ClientLimits& limits)
    : H2Connection(pool.context.worker, Role::kClient, limits.http2),
      pool_(pool),
      endpoint_(endpoint),
      limits_(limits) {
  can_write_ = false;
  high_watermark_ = limits.high_watermark;
  stream_send_timeout_ = send_timeout_;
  info.connection_id = ++pool.context.last_connection_id;
  start_session(
      {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.max_head_bytes)}});
}

H2ClientConnection::~H2ClientConnection() = default;

bool H2ClientConnection::has_room(bool checked) const {
  if (closed_ || ending_ || retired_ || input_ended_) return false;
  const std::uint32_t theirs =
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  if (streams_.size() >= std::min(theirs, limits_.http2.max_concurrent_streams)) return false;
  if (nghttp2_session_check_request_allowed(session_) == 0) return false;
  return !checked || !streams_.empty() || !can_write_ || !stream_.is_stale();
}

void H2ClientConnection::attach(H2ClientStream& stream) {
  info.reused = std::exchange(served_, true) && greeted_;
  add_stream(stream);
  // Whether the upstream knows extended CONNECT is in its settings.
  if (!stream.upgrade || greeted_) submit(stream);
  if (can_write_ && waiting_for() != Wait::kBody) wait_for_more();
}

void H2ClientConnection::submit(H2ClientStream& stream) {
  if (stream.upgrade && nghttp2_session_get_remote_settings(
                            session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) != 1) {
    stream.fail_soon(StreamError::kRefused, "upstream " + endpoint_.target.endpoint +
                                                " takes no upgrades over HTTP/2 (RFC 8441)");
    return;
  }
  const H2Fields::Length length = fields_.request(
      stream.head->headers, endpoint_.target.tls ? "https" : "http", stream.upgrade);
  if (stream.head_ends && length.value_or(0) > 0) {
    fail_soon(stream, "the request ended before its content-length");
    return;
  }
  if (!stream.upgrade) stream.length_left = length;
  const nghttp2_data_provider body = data_provider();
  const std::int32_t id =
      nghttp2_submit_request(session_, nullptr, fields_.data(), fields_.size(),
                             stream.head_ends ? nullptr : &body, static_cast<H2Stream*>(&stream));
  if (id < 0) {
    fail_soon(stream, nghttp2_strerror(id));
    return;
  }
  stream.id = id;
  queue_flush();
}

void H2ClientConnection::on_settings() {
  greeted_ = true;
  for (H2Stream* const each : streams_) {
    H2ClientStream& stream = client_stream(*each);
    if (stream.upgrade && stream.id == 0) submit(stream);
  }
}

bool H2ClientConnection::begin_head(const nghttp2_frame& frame) {
  H2Stream* const stream = find(frame.hd.stream_id);
  if (stream == nullptr) return false;
  const ClientLimits& limits = client_stream(*stream).limits;
  reader_.start(
      stream->head_received ? H2HeadReader::Kind::kTrailers : H2HeadReader::Kind::kResponse,
      {.max_head_bytes = limits.max_head_bytes, .max_headers = limits.max_headers},
      endpoint_.target.tls != nullptr);
  return true;
}

void H2ClientConnection::finish_head(H2Stream& stream, const nghttp2_frame& frame) {
  const bool end = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  const Reject reject = reader_.finish();
  HeadPtr head = reader_.take();
  if (stream.receiver == nullptr || !stream.failure.empty()) return;
  H2ClientStream& response = client_stream(stream);
  if (reject != Reject::kNone) {
    refuse(response, reject);
  } else if (stream.head_received) {
    stream.incoming_end = end;
    if (!head->headers.empty()) stream.incoming_trailers = std::move(head);
    deliver(stream);
  } else if (head->status() < 200) {
    take_informational(response, std::move(head));
  } else {
    take_response(response, std::move(head), end);
  }
}

void H2ClientConnection::on_hopeless_head(H2Stream& stream) {
  if (stream.receiver != nullptr && stream.failure.empty())
    refuse(client_stream(stream), Reject::kHeadTooLarge);
}

void H2ClientConnection::take_informational(H2ClientStream& stream, HeadPtr head) {
  if (head->status() < 100) {
    fail(stream, StreamError::kProtocol, "a response without a valid status");
  } else if (++stream.informational > kMaxInformational) {
    fail(stream, StreamError::kProtocol, "too many informational responses");
  } else {
    stream.answered();
    stream.receiver->on_informational(std::move(head));
  }
}

void H2ClientConnection::take_response(H2ClientStream& stream, HeadPtr head, bool end) {
  stream.head_received = true;
  stream.incoming_end = end;
  stream.answered();
  if (stream.upgrade) answer_upgrade(stream, *head);
  const bool ended = end && !stream.tunnel;
  stream.end_delivered = ended;
  const std::uint32_t generation = stream.generation;
  stream.receiver->on_head(std::move(head), ended);
  if (closed_ || stream.generation != generation) return;
  if (ended) {
    complete_if_done(stream);
  } else if (end) {
    deliver(stream);
  }
}

// What HTTP/1 says by 101, an extended CONNECT says by 200.
void H2ClientConnection::answer_upgrade(H2ClientStream& stream, Head& head) {
  stream.upgrade = false;
  if (head.status() / 100 == 2) {
    stream.tunnel = true;
    make_switching_protocols(head, stream.head->headers);
  } else if (!stream.out_end) {  // refused: the request ends here
    stream.out_end = true;
    resume_sending(stream);
  }
  stream.head.reset();
}

void H2ClientConnection::refuse(H2ClientStream& stream, Reject reject) {
  const bool limit = is_limit(reject);
  if (limit) pool_.context.head_limit_hits->add();
  fail(stream, limit ? StreamError::kTooLarge : StreamError::kProtocol, http::info(reject).text);
}

void H2ClientConnection::on_sent_end(H2Stream& stream) {
  complete_if_done(client_stream(stream));
}

void H2ClientConnection::on_delivered_end(H2Stream& stream) {
  complete_if_done(client_stream(stream));
}

// The exchange is over when both messages are, or when the response is and nobody takes the rest of
// the request.
void H2ClientConnection::complete_if_done(H2ClientStream& stream) {
  if (!stream.end_delivered || !(stream.out_done || stream.session_closed)) return;
  const std::uint32_t generation = stream.generation;
  if (Receiver* const receiver = std::exchange(stream.receiver, nullptr)) receiver->on_complete();
  if (stream.generation == generation) recycle(stream);
}

void H2ClientConnection::on_stream_gone(H2Stream& stream, std::uint32_t code) {
  H2ClientStream& gone = client_stream(stream);
  if (!gone.failure.empty()) return;
  if (gone.incoming_end) {
    complete_if_done(gone);
    return;
  }
  if (code == NGHTTP2_REFUSED_STREAM && gone.can_move()) {
    gone.move();
    return;
  }
  const bool broken = code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR ||
                      code == NGHTTP2_FRAME_SIZE_ERROR;
  std::string detail = "the stream to the upstream ended with ";
  detail += h2_error_name(code);
  fail(gone,
       code == NGHTTP2_REFUSED_STREAM ? StreamError::kRefused
       : broken                       ? StreamError::kProtocol
                                      : StreamError::kClosed,
       detail);
}

void H2ClientConnection::on_stream_failed(H2Stream& stream) {
  fail(client_stream(stream), StreamError::kCancelled, std::string(stream.failure));
}

// The upstream takes no new streams any more.
void H2ClientConnection::on_not_sent(H2Stream& stream) {
  H2ClientStream& unsent = client_stream(stream);
  if (!unsent.failure.empty()) return;
  retired_ = true;
  unsent.session_closed = true;
  if (unsent.can_move()) {
    unsent.move();
  } else {
    fail(unsent, StreamError::kRefused, "the upstream takes no more streams");
  }
}

void H2ClientConnection::fail(H2ClientStream& stream, StreamError error, std::string_view detail) {
  if (!stream.session_closed && stream.failure.empty() && stream.id != 0) {
    reset_stream(stream.id,
                 error == StreamError::kProtocol ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_CANCEL);
  }
  const std::uint32_t generation = stream.generation;
  if (Receiver* const receiver = std::exchange(stream.receiver, nullptr))
    receiver->on_reset(error, detail);
  if (stream.generation == generation) recycle(stream);
}

void H2ClientConnection::give_up(H2ClientStream& stream, StreamError error) {
  if (!stream.session_closed && stream.id != 0) {
    reset_stream(stream.id,
                 error == StreamError::kProtocol ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_CANCEL);
  }
  stream.receiver = nullptr;
  recycle(stream);
}

void H2ClientConnection::recycle(H2ClientStream& stream) {
  leave(stream);
  stream.finish();
}

void H2ClientConnection::leave(H2ClientStream& stream) {
  drop_stream(stream);
  if (!closed_ && streams_.empty() && can_write_) wait_for_more();
}

}  // namespace heddle::http
