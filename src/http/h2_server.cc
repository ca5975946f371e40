#include "http/h2_server.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "net/worker.h"

namespace heddle::http {
namespace {

// What is read of a client that was told that the connection ends.
constexpr std::size_t kMaxLinger = std::size_t{64} * 1024;

// How many streams are remembered as reset by this side, since the client may not know yet. Of
// earlier ones it is not known any more which were.
constexpr std::size_t kResetsKept = 256;

H2ServerStream& server_stream(H2Stream& stream) {
  return static_cast<H2ServerStream&>(stream);
}

}  // namespace

H2ServerConnection::H2ServerConnection(ServerContext& context, ConnectionInfo info)
    : H2Connection(context.worker, Role::kServer, context.limits.http2),
      context_(context),
      info_(std::move(info)) {
  high_watermark_ = context.limits.high_watermark;
  send_timeout_ = stream_send_timeout_ = context.limits.send_timeout;
  stream_receive_timeout_ = context.limits.body_timeout;
}

H2ServerConnection::~H2ServerConnection() = default;

void H2ServerConnection::start(H1Connection& from) {
  take_over(from);
  begin();
}

void H2ServerConnection::start(net::TcpStream& from) {
  stream_.take_over(from);
  begin();
}

void H2ServerConnection::start(net::Fd fd) {
  stream_.adopt(std::move(fd));
  begin();
}

void H2ServerConnection::begin() {
  start_session({{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                  static_cast<std::uint32_t>(context_.limits.max_head_bytes)},
                 {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
                 {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}},
                {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h2_limits_.max_concurrent_streams}});
  expect(Wait::kIdle, context_.limits.idle_timeout);
  if (context_.draining) drain();
  process_soon();
}

void H2ServerConnection::process() {
  if (lingering_) {
    discarded_ += unread();
    discard_input();
    if (input_ended_ || discarded_ > kMaxLinger) close();
    return;
  }
  H2Connection::process();
  if (closed_) return;
  if (reader_.reading()) {
    if (head_deadline_ == 0) {
      head_deadline_ = worker_.now() + context_.limits.head_timeout.count();
      look_by(head_deadline_);
    }
  } else {
    head_deadline_ = 0;
    if (streams_.empty() && waiting_for() == Wait::kBody) wait_for_more();
  }
  if (!input_ended_ || std::exchange(peer_closed_, true)) return;
  if (is_cut_off()) tell(Reject::kCutOff);
  if (input_error_ != 0) {
    fail_all(StreamError::kClosed, "the client reset the connection");
    close();
    return;
  }
  for (std::size_t i = streams_.size(); i-- > 0 && !closed_;) {
    if (i < streams_.size() && !streams_[i]->incoming_end)
      fail(server_stream(*streams_[i]), StreamError::kClosed,
           "the client closed within the request body");
  }
  if (!closed_ && streams_.empty()) close();
}

// A request whose head was whole tells of its end itself.
bool H2ServerConnection::is_cut_off() const {
  if (ending_ || received_ == 0) return false;
  return reader_.reading() || (streams_.empty() && scanner_.within_frame());
}

bool H2ServerConnection::begin_head(const nghttp2_frame& frame) {
  head_deadline_ = 0;  // each block has its own; process() sets it when the block is not whole
  const HeadLimits& limits = context_.head_limits;
  if (frame.headers.cat != NGHTTP2_HCAT_REQUEST) {
    if (find(frame.hd.stream_id) == nullptr) return false;
    reader_.start(H2HeadReader::Kind::kTrailers, limits, info_.tls);
    return true;
  }
  last_id_ = frame.hd.stream_id;
  if (is_full()) {
    on_limit(Http2Limit::kConcurrentStreams);
    reset_stream(last_id_, NGHTTP2_REFUSED_STREAM);
    return false;
  }
  H2ServerStream& stream = context_.take_h2_stream();
  stream.start_exchange();
  stream.id = last_id_;
  stream.high_watermark = context_.limits.high_watermark;
  add_stream(stream);
  nghttp2_session_set_stream_user_data(session_, stream.id, static_cast<H2Stream*>(&stream));
  reader_.start(H2HeadReader::Kind::kRequest, limits, info_.tls);
  return true;
}

// A stream too many is refused alone (RFC 9113 section 5.1.2). Those that nghttp2 has closed do not
// count: the client knows that they ended.
bool H2ServerConnection::is_full() const {
  if (streams_.size() < h2_limits_.max_concurrent_streams) return false;
  const auto open = std::ranges::count(streams_, false, &H2Stream::session_closed);
  return static_cast<std::uint64_t>(open) >= h2_limits_.max_concurrent_streams;
}

void H2ServerConnection::finish_head(H2Stream& stream, const nghttp2_frame& frame) {
  const bool end = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  H2ServerStream& request = server_stream(stream);
  if (stream.head_received) {
    finish_trailers(request, frame);
    return;
  }
  stream.head_received = true;
  const Reject reject = reader_.finish();
  request.head_request = reject == Reject::kNone && reader_.is_head();
  if (reject != Reject::kNone) {
    stream.incoming_end = end;
    refuse(request, reject);
    return;
  }
  start_request(request, end);
}

// Of a request that gets no answer.
void H2ServerConnection::tell(Reject reject) {
  context_.count(reject);
  const RejectInfo& what = info(reject);
  context_.handler.on_bad_request(info_, what.status, what.text);
}

void H2ServerConnection::on_hopeless_head(H2Stream& stream) {
  tell(Reject::kHeadTooLarge);
  reset_stream(stream.id, NGHTTP2_ENHANCE_YOUR_CALM);
}

void H2ServerConnection::finish_trailers(H2ServerStream& stream, const nghttp2_frame& frame) {
  const Reject reject = reader_.finish();
  HeadPtr trailers = reader_.take();
  stream.incoming_end = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (stream.receiver == nullptr) return;
  if (reject != Reject::kNone) {
    refuse(stream, reject);
    return;
  }
  if (!trailers->headers.empty()) stream.incoming_trailers = std::move(trailers);
  deliver(stream);
}

void H2ServerConnection::start_request(H2ServerStream& stream, bool end) {
  HeadPtr head = reader_.take();
  const std::uint64_t max_body = context_.limits.max_body_bytes;
  if (max_body > 0 && reader_.content_length().value_or(0) > max_body) {
    stream.incoming_end = end;
    refuse(stream, Reject::kBodyTooLarge);
    return;
  }
  stream.incoming_end = end;
  stream.continue_owed = reader_.expects_continue() && !end;
  if (head->upgrade) {
    stream.upgrade_waits = true;
    stream.pause();
  } else if (end) {
    stream.end_delivered = true;
  } else {
    stream.receive_deadline = worker_.now() + context_.limits.body_timeout.count();
  }
  if (waiting_for() != Wait::kBody) wait_for_more();
  const std::uint32_t generation = stream.generation;
  const bool ended = end && !head->upgrade;
  Receiver* const receiver = context_.handler.on_request(stream, info_, std::move(head), ended);
  if (closed_ || stream.generation != generation) return;
  if (receiver == nullptr) {
    give_up(stream, StreamError::kCancelled);
    return;
  }
  stream.receiver = receiver;
  send_continue_if_wanted(stream);
}

void H2ServerConnection::send_continue_if_wanted(H2ServerStream& stream) {
  if (!stream.continue_owed || stream.paused > 0 || stream.head_sent) return;
  stream.continue_owed = false;
  send_informational(stream, make_head()->headers, "100");
}

void H2ServerConnection::send_informational(H2ServerStream& stream, const HeaderMap& headers,
                                            std::string_view status) {
  if (status == "100") stream.continue_owed = false;
  fields_.response(headers, status, false);
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id, nullptr, fields_.data(),
                         fields_.size(), nullptr);
  queue_flush();
}

bool H2ServerConnection::accept_body(H2Stream& stream) {
  server_stream(stream).continue_owed = false;
  const std::uint64_t max_body = context_.limits.max_body_bytes;
  if (max_body == 0 || stream.body_bytes <= max_body || server_stream(stream).tunnel) return true;
  refuse(server_stream(stream), Reject::kBodyTooLarge);
  return false;
}

void H2ServerConnection::send_head(H2ServerStream& stream, const HeaderMap& headers, bool end) {
  if (stream.head_sent || closed_ || !stream.failure.empty()) return;
  const std::string_view status = headers.get(":status").value_or("200");
  const bool upgrade = status == "101" && stream.upgrade_waits;
  const H2Fields::Length length = fields_.response(headers, status, upgrade);
  stream.head_sent = true;
  stream.receive_deadline = 0;  // the silence of both sides is the route's affair from here on
  stream.tunnel = upgrade;
  stream.drop_body = !upgrade && (stream.head_request || status.starts_with('1') ||
                                  status == "204" || status == "304");
  if (!upgrade && !stream.drop_body) stream.length_left = length;
  if (stream.upgrade_waits) {
    stream.input_cut = !upgrade;  // there is nothing to wait for: the request ends here
    stream.upgrade_waits = false;
    stream.resume();
  }
  if (end && stream.length_left.value_or(0) > 0) {
    fail_soon(stream, "the answer ended before its content-length");
    return;
  }
  stream.out_end = end;
  submit(stream, end);
}

void H2ServerConnection::submit(H2ServerStream& stream, bool end) {
  if (ending_) return;
  const nghttp2_data_provider body = data_provider();
  nghttp2_submit_response(session_, stream.id, fields_.data(), fields_.size(),
                          end ? nullptr : &body);
  queue_flush();
}

void H2ServerConnection::on_sent_end(H2Stream& stream) {
  H2ServerStream& sent = server_stream(stream);
  if (sent.tunnel && !sent.end_delivered) return;
  // The rest of the request is not wanted (RFC 9113 section 8.1).
  if (!sent.incoming_end && !sent.session_closed) reset_stream(sent.id, NGHTTP2_NO_ERROR);
  if (std::exchange(sent.finishing, true)) return;
  finishing_.push_back({&sent, sent.generation});
}

void H2ServerConnection::on_delivered_end(H2Stream& stream) {
  H2ServerStream& ended = server_stream(stream);
  if (!ended.tunnel || !ended.out_done) return;
  on_sent_end(stream);
  queue_flush();
}

void H2ServerConnection::on_flushed() {
  finish_sent();
  if (closed_) return;
  H2Connection::on_flushed();
  if (closed_ || !streams_.empty()) return;
  if (peer_closed_ || (drain_ == Drain::kFinal && nghttp2_session_want_write(session_) == 0))
    linger();
}

void H2ServerConnection::fill_output() {
  finish_sent();
  H2Connection::fill_output();
}

void H2ServerConnection::finish_sent() {
  std::size_t done = 0;
  while (done < finishing_.size() && !closed_) {
    const Finishing next = finishing_[done];
    if (next.stream->generation == next.generation) {
      if (next.stream->end_mark > sent_) break;
      complete(*next.stream);
    }
    ++done;
  }
  finishing_.erase(finishing_.begin(), finishing_.begin() + static_cast<std::ptrdiff_t>(done));
}

void H2ServerConnection::complete(H2ServerStream& stream) {
  const std::uint32_t generation = stream.generation;
  if (Receiver* const receiver = std::exchange(stream.receiver, nullptr)) receiver->on_complete();
  if (stream.generation == generation) recycle(stream);
}

void H2ServerConnection::recycle(H2ServerStream& stream) {
  drop_stream(stream);
  stream.clear();
  context_.free_h2_streams.push_back(&stream);
  if (streams_.empty() && !closed_ && waiting_for() == Wait::kBody) wait_for_more();
}

// An error of RFC 9113 section 5.4.2 concerns the stream; a client's reset is the end of it.
void H2ServerConnection::on_stream_gone(H2Stream& stream, std::uint32_t code) {
  H2ServerStream& gone = server_stream(stream);
  if (gone.finishing || !gone.failure.empty()) return;
  std::string detail = "the stream ended with ";
  detail += h2_error_name(code);
  fail(gone, code == NGHTTP2_PROTOCOL_ERROR ? StreamError::kProtocol : StreamError::kClosed,
       detail);
}

void H2ServerConnection::on_stream_failed(H2Stream& stream) {
  fail(server_stream(stream), StreamError::kCancelled, std::string(stream.failure));
}

void H2ServerConnection::fail(H2ServerStream& stream, StreamError error, std::string_view detail) {
  if (!stream.session_closed && stream.failure.empty())
    reset_stream(stream.id, NGHTTP2_INTERNAL_ERROR);
  const std::uint32_t generation = stream.generation;
  if (Receiver* const receiver = std::exchange(stream.receiver, nullptr))
    receiver->on_reset(error, detail);
  if (stream.generation == generation) recycle(stream);
}

void H2ServerConnection::give_up(H2ServerStream& stream, StreamError error) {
  if (!stream.session_closed) {
    reset_stream(stream.id, error == StreamError::kProtocol    ? NGHTTP2_PROTOCOL_ERROR
                            : error == StreamError::kCancelled ? NGHTTP2_CANCEL
                                                               : NGHTTP2_INTERNAL_ERROR);
  }
  stream.receiver = nullptr;
  recycle(stream);
}

// Answers what cannot be given to the handler, or not any further. What is malformed is no message
// at all and gets a reset (RFC 9113 section 8.1.1).
void H2ServerConnection::refuse(H2ServerStream& stream, Reject reject) {
  context_.count(reject);
  const RejectInfo& what = info(reject);
  const std::uint32_t generation = stream.generation;
  if (Receiver* const receiver = std::exchange(stream.receiver, nullptr)) {
    const StreamError error = reject == Reject::kBodyTimeout ? StreamError::kTimeout
                              : is_limit(reject)             ? StreamError::kTooLarge
                                                             : StreamError::kProtocol;
    receiver->on_reset(error, what.text);
    if (closed_ || stream.generation != generation) return;
  }
  stream.unconsumed += stream.incoming.size();
  stream.incoming.clear();
  give_back(stream);
  const bool answered = is_limit(reject) || what.status == 501;
  if (stream.head_sent || !answered) {
    if (!answered) context_.handler.on_bad_request(info_, what.status, what.text);
    give_up(stream, answered ? StreamError::kTooLarge : StreamError::kProtocol);
    return;
  }
  answer(stream, what.status, what.text);
}

void H2ServerConnection::answer(H2ServerStream& stream, int status, std::string_view text) {
  const std::string body = context_.handler.on_bad_request(info_, status, text);
  const HeadPtr head = make_head();
  head->headers.add(":status", std::to_string(status));
  head->headers.add_view("content-type", "application/json");
  head->headers.add("content-length", std::to_string(body.size()));
  stream.upgrade_waits = false;
  send_head(stream, head->headers, false);
  Buffer data;
  data.append(body);
  stream.queue_data(std::move(data), true);
}

// Frames of a stream that this side reset may still be on their way; on one that the client closed
// nothing may follow (RFC 9113 section 5.1).
bool H2ServerConnection::was_closed(std::int32_t id) const {
  return id <= last_id_ && nghttp2_session_find_stream(session_, id) == nullptr &&
         id > forgotten_reset_ && std::ranges::find(reset_ids_, id) == reset_ids_.end();
}

int H2ServerConnection::on_frame_head(const nghttp2_frame_hd& head) {
  if (!was_closed(head.stream_id)) return 0;
  return fail_session(NGHTTP2_STREAM_CLOSED, "a frame on a closed stream");
}

std::size_t H2ServerConnection::next_input(const std::uint8_t* data, std::size_t size) {
  return scanner_.next(data, size, suspect_, [this](std::int32_t id) {
    return nghttp2_session_find_stream(session_, id) != nullptr;
  });
}

void H2ServerConnection::check_input() {
  for (int unknown = scanner_.take_unknown(); unknown > 0 && !ending_; --unknown) {
    if (const int error = count_control_frame(); error != 0) end_by_error(error);
  }
  const std::int32_t id = std::exchange(suspect_, 0);
  if (id != 0 && !ending_ && was_closed(id))
    end_by_error(fail_session(NGHTTP2_STREAM_CLOSED, "a frame on a closed stream"));
}

void H2ServerConnection::on_sent_reset(std::int32_t id) {
  if (reset_ids_.size() < kResetsKept) {
    reset_ids_.push_back(id);
  } else {
    forgotten_reset_ = std::max(forgotten_reset_, std::exchange(reset_ids_[next_reset_], id));
    next_reset_ = (next_reset_ + 1) % kResetsKept;
  }
}

void H2ServerConnection::on_bad_frame(const nghttp2_frame& frame, int error) {
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  context_.count(Reject::kMalformedHttp2);
  context_.handler.on_bad_request(info_, 400, nghttp2_strerror(error));
}

void H2ServerConnection::on_limit(Http2Limit limit) {
  context_.http2_limit_hits[static_cast<std::size_t>(limit)]->add();
  // Refused streams can be many; every other limit ends the connection.
  bool& told = limit == Http2Limit::kConcurrentStreams ? told_full_ : told_end_;
  if (std::exchange(told, true)) return;
  worker_.log().info("a client passed a limit of HTTP/2",
                     {{"remote", info_.remote_address},
                      {"limit", kHttp2LimitNames[static_cast<std::size_t>(limit)]},
                      {"streams", streams_.size()}});
}

}  // namespace heddle::http
