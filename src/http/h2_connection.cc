#include "http/h2_connection.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "http/h2_callbacks.h"

namespace heddle::http {
namespace {

// More than this waits in the streams and not in the connection, where no stream can be reset any
// more.
constexpr std::size_t kMaxQueued = std::size_t{256} * 1024;
constexpr std::size_t kMaxJoined = 256;  // frames that wait for the end of the turn
// A body piece up to this size is copied behind its frame's head: one entry of the vector less.
constexpr std::size_t kCopyLimit = 1024;
constexpr std::size_t kFrameHead = 9;
constexpr std::size_t kBulkChunk = 4096;
constexpr int kUpdatesPerFrame = 10;
constexpr std::uint32_t kDefaultWindow = 65535;

std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

H2Connection::H2Connection(net::Worker& worker, Role role, const Http2Limits& limits)
    : H1Connection(worker),
      h2_limits_(limits),
      holds_connection_window_(role == Role::kServer),
      resets_(limits.max_resets_per_second),
      control_frames_(limits.max_control_frames_per_second) {
  session_ = make_h2_session(*this, role == Role::kServer);
}

H2Connection::~H2Connection() {
  nghttp2_session_del(session_);
}

void H2Connection::start_session(std::initializer_list<nghttp2_settings_entry> more,
                                 std::initializer_list<nghttp2_settings_entry> announced) {
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h2_limits_.stream_window},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, h2_limits_.max_frame_size},
  };
  settings.insert(settings.end(), more);
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  if (announced.size() > 0) write_settings(announced);
  if (h2_limits_.connection_window > kDefaultWindow) {
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                          static_cast<std::int32_t>(h2_limits_.connection_window));
  }
  queue_flush();
}

// The frame as nghttp2 makes it, which comes before all others, with these behind its entries.
void H2Connection::write_settings(std::initializer_list<nghttp2_settings_entry> announced) {
  const std::uint8_t* data = nullptr;
  const ssize_t size = nghttp2_session_mem_send(session_, &data);
  if (size < static_cast<ssize_t>(kFrameHead)) return;
  std::string frame(text_of(data, static_cast<std::size_t>(size)));
  for (const nghttp2_settings_entry& entry : announced) {
    for (const int shift : {8, 0}) frame += static_cast<char>(entry.settings_id >> shift);
    for (const int shift : {24, 16, 8, 0}) frame += static_cast<char>(entry.value >> shift);
  }
  const std::size_t length = frame.size() - kFrameHead;
  for (std::size_t i = 0; i < 3; ++i) frame[i] = static_cast<char>(length >> (16 - 8 * i));
  output_.write(out_, frame);
}

void H2Connection::process() {
  while (!closed_ && !ending_ && unread() > 0) {
    const auto* const data = reinterpret_cast<const std::uint8_t*>(unread_data());
    const ssize_t taken = nghttp2_session_mem_recv(session_, data, next_input(data, unread()));
    if (closed_) return;
    if (taken < 0) {
      end_by_error(static_cast<int>(taken));
      break;
    }
    consume(static_cast<std::size_t>(taken));
    flush_partial();
    if (!closed_ && !ending_) check_input();
  }
  if (closed_) return;
  if (ending_) discard_input();
  run_ready();
  if (!closed_) queue_flush();
}

// Bytes of a DATA frame whose rest is still on its way.
void H2Connection::flush_partial() {
  if (H2Stream* const stream = std::exchange(partial_, nullptr)) deliver(*stream);
}

void H2Connection::end_by_error(int error) {
  if (error == NGHTTP2_ERR_FLOODED || error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
    calm_down(error == NGHTTP2_ERR_FLOODED ? Http2Limit::kOutboundAcks
                                           : Http2Limit::kContinuations);
  } else if (end_detail_.empty()) {
    end_detail_ = nghttp2_strerror(error);
  }
  write_goaway(end_code_);
  dead_ = ending_ = true;
  queue_flush();
}

int H2Connection::fail_session(std::uint32_t code, std::string_view detail) {
  end_code_ = code;
  end_detail_ = detail;
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

// By hand: nghttp2 allows no call after a fatal error.
void H2Connection::write_goaway(std::uint32_t code) {
  const auto last = static_cast<std::uint32_t>(nghttp2_session_get_last_proc_stream_id(session_));
  std::array<char, kFrameHead + 8> frame{0, 0, 8, NGHTTP2_GOAWAY};
  for (std::size_t i = 0; i < 4; ++i) {
    frame[kFrameHead + i] = static_cast<char>(last >> (24 - 8 * i));
    frame[kFrameHead + 4 + i] = static_cast<char>(code >> (24 - 8 * i));
  }
  output_.write(out_, {frame.data(), frame.size()});
}

void H2Connection::terminate(std::uint32_t code) {
  if (ending_) return;
  ending_ = true;
  nghttp2_session_terminate_session(session_, code);
  queue_flush();
}

// A peer that makes this side answer much (PING, SETTINGS) must not meet a limit because answers
// wait.
bool H2Connection::joins_output() const {
  return nghttp2_session_get_outbound_queue_size(session_) < kMaxJoined;
}

void H2Connection::fill_output() {
  while (!closed_ && !dead_ && out_.size() < kMaxQueued) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (closed_) return;
    if (size < 0) {
      end_by_error(static_cast<int>(size));
      break;
    }
    if (size == 0) break;
    output_.write(out_, text_of(data, static_cast<std::size_t>(size)));
  }
  tell_writable();
}

void H2Connection::on_flushed() {
  if (dead_ ||
      (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0)) {
    ending_ = true;
    on_session_end(end_detail_);
  }
}

void H2Connection::tell_writable() {
  for (std::size_t i = 0; i < writable_.size() && !closed_; ++i) {
    const Due due = writable_[i];
    if (due.stream->generation == due.generation && due.stream->receiver != nullptr)
      due.stream->receiver->on_writable();
  }
  writable_.clear();
}

void H2Connection::deliver_soon(H2Stream& stream) {
  if (stream.ready) return;
  stream.ready = true;
  ready_.push_back({&stream, stream.generation});
  process_soon();
}

void H2Connection::run_ready() {
  if (ready_.empty()) return;
  running_.swap(ready_);
  for (std::size_t i = 0; i < running_.size() && !closed_; ++i) {
    const Due due = running_[i];
    if (due.stream->generation != due.generation) continue;
    due.stream->ready = false;
    if (!due.stream->failure.empty()) {
      on_stream_failed(*due.stream);
    } else {
      give_back(*due.stream);
      deliver(*due.stream);
    }
  }
  running_.clear();
}

void H2Connection::fail_soon(H2Stream& stream, std::string_view detail) {
  stream.failure = detail;
  if (stream.id != 0) reset_stream(stream.id, NGHTTP2_INTERNAL_ERROR);
  deliver_soon(stream);
}

void H2Connection::reset_stream(std::int32_t id, std::uint32_t code) {
  if (dead_) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
  queue_flush();
}

void H2Connection::add_stream(H2Stream& stream) {
  stream.connection = this;
  stream.slot = streams_.size();
  streams_.push_back(&stream);
}

void H2Connection::drop_stream(H2Stream& stream) {
  // Also when the session is done with it, as far as this side knows: a request that could not be
  // sent is told first, and closed as a stream afterwards.
  if (stream.id != 0 && !dead_) nghttp2_session_set_stream_user_data(session_, stream.id, nullptr);
  const std::size_t held = stream.unconsumed + stream.incoming.size();
  if (held > 0 && !dead_ && holds_connection_window_)
    nghttp2_session_consume_connection(session_, held);
  if (partial_ == &stream) partial_ = nullptr;
  streams_.back()->slot = stream.slot;
  streams_[stream.slot] = streams_.back();
  streams_.pop_back();
  stream.connection = nullptr;
}

void H2Connection::give_back(H2Stream& stream) {
  const std::size_t size = std::exchange(stream.unconsumed, 0);
  if (size == 0 || dead_) return;
  if (holds_connection_window_) nghttp2_session_consume_connection(session_, size);
  if (!stream.session_closed) nghttp2_session_consume_stream(session_, stream.id, size);
}

void H2Connection::deliver(H2Stream& stream) {
  if (stream.receiver == nullptr || stream.paused > 0 || !stream.failure.empty()) return;
  const std::uint32_t generation = stream.generation;
  const bool last = stream.end_waits() && !stream.incoming_trailers;
  if (!stream.incoming.empty() || last) {
    stream.unconsumed += stream.incoming.size();
    stream.end_delivered = last;
    scratch_ = std::move(stream.incoming);
    stream.receiver->on_data(scratch_, last);
    scratch_.clear();
    if (closed_ || stream.generation != generation) return;
    if (stream.paused == 0) give_back(stream);
  }
  if (stream.incoming_trailers && stream.paused == 0 && stream.receiver != nullptr) {
    stream.end_delivered = true;
    stream.receiver->on_trailers(std::move(stream.incoming_trailers));
    if (closed_ || stream.generation != generation) return;
  }
  if (stream.end_delivered) on_delivered_end(stream);
}

int H2Connection::take_chunk(std::int32_t id, const std::uint8_t* data, std::size_t size) {
  H2Stream* const stream = find(id);
  const bool wanted = stream != nullptr && stream->receiver != nullptr && !stream->input_cut &&
                      stream->failure.empty();
  if (!wanted) {
    nghttp2_session_consume(session_, id, size);
    return 0;
  }
  if (!holds_connection_window_) nghttp2_session_consume_connection(session_, size);
  stream->body_bytes += size;
  stream->received += size;
  if (stream->receive_deadline != 0)
    stream->receive_deadline = worker_.now() + stream_receive_timeout_.count();
  bulk_ = size >= kBulkChunk;
  // nghttp2 hands over a part of what it was given: of the block.
  char* const bytes = const_cast<char*>(reinterpret_cast<const char*>(data));
  stream->incoming.append(Slice{block_, bytes, size});
  partial_ = stream;
  if (!accept_body(*stream)) partial_ = nullptr;
  return 0;
}

int H2Connection::take_frame(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_DATA:
      take_data_end(frame);
      break;
    case NGHTTP2_HEADERS:
      if (H2Stream* const stream = find(frame.hd.stream_id); stream != nullptr) {
        stream->received += kFrameHead + frame.hd.length;
        finish_head(*stream, frame);
      }
      break;
    case NGHTTP2_RST_STREAM:
      return count_reset();
    case NGHTTP2_SETTINGS:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) == 0) on_settings();
      break;
    case NGHTTP2_PING:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) on_ping_ack();
      break;
    case NGHTTP2_GOAWAY:
      on_goaway(frame.goaway);
      break;
    default:
      break;
  }
  return closed_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void H2Connection::take_data_end(const nghttp2_frame& frame) {
  partial_ = nullptr;
  H2Stream* const stream = find(frame.hd.stream_id);
  if (stream == nullptr) return;
  stream->received += kFrameHead;
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) stream->incoming_end = true;
  deliver(*stream);
}

int H2Connection::count_reset() {
  if (resets_.take(worker_.now())) return 0;
  return calm_down(Http2Limit::kResets);
}

int H2Connection::calm_down(Http2Limit limit) {
  on_limit(limit);
  std::string detail = "the peer passed the limit ";
  detail += kHttp2LimitNames[static_cast<std::size_t>(limit)];
  return fail_session(NGHTTP2_ENHANCE_YOUR_CALM, detail);
}

// Frames that carry no part of a message cost work all the same.
int H2Connection::count_frame(const nghttp2_frame_hd& head) {
  if (head.type == NGHTTP2_PUSH_PROMISE)
    return fail_session(NGHTTP2_PROTOCOL_ERROR, "a push that nobody asked for");
  const bool message = head.type == NGHTTP2_HEADERS ||
                       (head.type == NGHTTP2_DATA && head.length > 0) ||
                       (head.type == NGHTTP2_DATA && (head.flags & NGHTTP2_FLAG_END_STREAM) != 0);
  if (message) {
    control_frames_.give();
    return on_frame_head(head);
  }
  if (head.type == NGHTTP2_RST_STREAM) return 0;
  return count_control_frame();
}

int H2Connection::count_control_frame() {
  if (control_frames_.take(worker_.now())) return 0;
  return calm_down(Http2Limit::kControlFrames);
}

nghttp2_data_provider H2Connection::data_provider() {
  return {.source = {.ptr = nullptr}, .read_callback = read_h2_body};
}

void H2Connection::resume_sending(H2Stream& stream) {
  if (stream.send_deadline == 0)
    stream.send_deadline = worker_.now() + stream_send_timeout_.count();
  if (std::exchange(stream.deferred, false) && !dead_)
    nghttp2_session_resume_data(session_, stream.id);
  queue_flush();
}

ssize_t H2Connection::read_body(std::int32_t id, std::size_t most, std::uint32_t* flags) {
  H2Stream* const stream = find(id);
  if (stream == nullptr || !stream->failure.empty()) return NGHTTP2_ERR_DEFERRED;  // it was reset
  const std::size_t size = std::min(most, stream->outgoing.size());
  if (size == 0 && !stream->out_end) {
    stream->deferred = true;
    stream->send_deadline = 0;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (stream->out_end && size == stream->outgoing.size()) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->outgoing_trailers) {
      fields_.trailers(stream->outgoing_trailers->headers);
      if (fields_.size() > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session_, id, fields_.data(), fields_.size());
      }
    }
  }
  return static_cast<ssize_t>(size);
}

int H2Connection::send_body(std::int32_t id, const std::uint8_t* head, std::size_t size) {
  if (out_.size() >= kMaxQueued) return NGHTTP2_ERR_WOULDBLOCK;
  H2Stream* const stream = find(id);
  if (stream == nullptr || stream->outgoing.size() < size)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (size <= kCopyLimit) {
    char* const frame = output_.reserve(kFrameHead + size);
    std::memcpy(frame, head, kFrameHead);
    stream->outgoing.copy_to(0, size, frame + kFrameHead);
    output_.commit(out_, kFrameHead + size);
    stream->outgoing.drain(size);
  } else {
    output_.write(out_, text_of(head, kFrameHead));
    stream->outgoing.split_to(size, out_);
  }
  stream->sent += kFrameHead + size;
  stream->send_deadline =
      stream->outgoing.empty() ? 0 : worker_.now() + stream_send_timeout_.count();
  if (stream->was_above && stream->outgoing.size() <= stream->high_watermark / 2) {
    stream->was_above = false;
    writable_.push_back({stream, stream->generation});
  }
  return 0;
}

int H2Connection::note_sent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_RST_STREAM) {
    // The peer can make this side reset streams as fast as it could reset them itself.
    const std::uint32_t code = frame.rst_stream.error_code;
    const bool forced = code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR ||
                        code == NGHTTP2_STREAM_CLOSED || code == NGHTTP2_FRAME_SIZE_ERROR ||
                        code == NGHTTP2_REFUSED_STREAM || code == NGHTTP2_ENHANCE_YOUR_CALM;
    on_sent_reset(frame.hd.stream_id);
    return forced ? count_reset() : 0;
  }
  if (frame.hd.type == NGHTTP2_GOAWAY) {
    if (frame.goaway.error_code != NGHTTP2_NO_ERROR && end_detail_.empty()) {
      end_detail_ = text_of(frame.goaway.opaque_data, frame.goaway.opaque_data_len);
      if (end_detail_.empty()) end_detail_ = h2_error_name(frame.goaway.error_code);
    }
    on_sent_goaway();
  }
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return 0;
  // The peer may answer each of them by window updates, a few when it reads in small steps.
  control_frames_.give(kUpdatesPerFrame);
  H2Stream* const stream = find(frame.hd.stream_id);
  if (stream == nullptr) return 0;
  if (frame.hd.type == NGHTTP2_HEADERS) stream->sent += kFrameHead + frame.hd.length;
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    stream->out_done = true;
    stream->send_deadline = 0;
    stream->end_mark = sent_ + out_.size();
    on_sent_end(*stream);
  }
  return 0;
}

// A request that was queued in the session, which has no stream of it.
void H2Connection::note_unsent(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS || frame.headers.cat != NGHTTP2_HCAT_REQUEST) return;
  const auto found = std::ranges::find(streams_, frame.hd.stream_id, &H2Stream::id);
  if (found != streams_.end()) on_not_sent(**found);
}

void H2Connection::close_by_session(std::int32_t id, std::uint32_t code) {
  H2Stream* const stream = find(id);
  // Others end while a header block is on its way.
  if (id == head_of_ && reader_.reading()) reader_.abandon();
  if (stream == nullptr) return;
  stream->session_closed = true;
  on_stream_gone(*stream, code);
}

H2Stream* H2Connection::expired_stream(Nanoseconds now, Nanoseconds& next) const {
  for (H2Stream* const stream : streams_) {
    const bool waits = stream->receive_deadline != 0 && !stream->incoming_end;
    if (waits && stream->paused > 0)
      stream->receive_deadline = now + stream_receive_timeout_.count();  // this side does not read
    if (stream->send_deadline != 0 && output_waits())
      stream->send_deadline = now + stream_send_timeout_.count();  // the connection's own counts
    for (const Nanoseconds deadline :
         {waits ? stream->receive_deadline : 0, stream->send_deadline}) {
      if (deadline == 0) continue;
      if (deadline <= now) return stream;
      next = std::min(next, deadline);
    }
  }
  return nullptr;
}

std::string_view h2_error_name(std::uint32_t code) {
  return nghttp2_http2_strerror(code);
}

}  // namespace heddle::http
