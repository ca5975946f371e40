#include "http/h1_connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "net/socket.h"
#include "net/timer_queue.h"

namespace heddle::http {
namespace {

// A read with less room than this is not worth its system call.
constexpr std::size_t kMinRoom = 2048;
constexpr std::size_t kMaxParts = 64;

// A peer takes nothing when it acknowledged nothing between so many looks in a row.
constexpr int kAlike = 4;

}  // namespace

H1Connection::H1Connection(net::Worker& worker) : worker_(worker), stream_(worker, *this) {}

H1Connection::~H1Connection() {
  worker_.forget_flush(*this);
}

void H1Connection::on_read(std::size_t count) {
  last_read_full_ = count == room_;
  filled_ += count;
  process();
  queue_flush();
}

void H1Connection::on_read_end(int error) {
  input_ended_ = true;
  input_error_ = error;
  process();
  queue_flush();
}

void H1Connection::on_write_ready() {
  write_waiting_ = false;
  queue_flush();
}

void H1Connection::flush() {
  if (closed_) return;
  if (joins_output()) {
    worker_.queue_turn_flush(*this);
  } else {
    write_all();
  }
  go_on();
}

void H1Connection::flush_turn() {
  if (closed_) return;
  write_all();
  go_on();
}

void H1Connection::write_all() {
  if (can_write_ && !write_waiting_) {
    fill_output();
    while (!out_.empty() && !write_waiting_) {
      write_out();
      if (closed_) return;
      if (out_.empty()) fill_output();
    }
  }
  if (can_write_ && out_.empty()) {
    output_.release();
    on_flushed();
  }
}

void H1Connection::go_on() {
  if (closed_) return;
  if (std::exchange(process_queued_, false)) {
    process();
    if (closed_) return;
  }
  start_read();
}

void H1Connection::write_out() {
  std::array<iovec, kMaxParts> parts;
  while (!out_.empty()) {
    const std::size_t count = out_.to_iovec(parts);
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < count; ++i) wanted += parts[i].iov_len;
    const ssize_t sent = stream_.send({parts.data(), count});
    if (sent < 0 && sent != -EAGAIN) {
      send_deadline_ = 0;
      on_write_failed(static_cast<int>(-sent));
      return;
    }
    const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    if (taken > 0) {
      sent_ += taken;
      if (Buffer* const sink = sent_sink()) {
        out_.split_to(taken, *sink);
      } else {
        out_.drain(taken);
      }
    }
    if (taken < wanted) {
      write_waiting_ = true;
      stream_.wait_writable();
      if (taken > 0 || send_deadline_ == 0) {
        unacknowledged_ = std::numeric_limits<int>::max();
        looks_alike_ = 0;
        look_at_output_later();
      }
      break;
    }
    send_deadline_ = 0;
  }
  if (above_watermark_ && out_.size() <= high_watermark_ / 2) {
    above_watermark_ = false;
    on_below_watermark();
  }
}

void H1Connection::note_output() {
  if (out_.size() > high_watermark_) above_watermark_ = true;
  queue_flush();
}

void H1Connection::start_read() {
  if (input_ended_ || stream_.reading() || !can_write_ || !wants_input()) return;
  make_room();
  room_ = block_->capacity() - filled_;
  stream_.read(block_->data() + filled_, room_);
}

void H1Connection::make_room() {
  const std::size_t unread_size = unread();
  if (unread_size > 0) {
    // A head under way: its bytes stay together.
    if (block_->capacity() - filled_ < kMinRoom) take_block(unread_size * 2 + kMinRoom);
    return;
  }
  const bool bulk = last_read_full_ && expects_bulk();
  const std::size_t wanted = bulk ? Block::kLargeSize : Block::kStandardSize;
  if (block_ && block_->capacity() == wanted) {
    if (!block_->shared()) {
      read_ = filled_ = 0;
      return;
    }
    if (block_->capacity() - filled_ >= (bulk ? wanted / 2 : kMinRoom)) return;
  }
  take_block(wanted);
}

void H1Connection::take_block(std::size_t capacity) {
  BlockRef block(Block::create(capacity));
  const std::size_t count = unread();
  if (count > 0) std::memcpy(block->data(), unread_data(), count);
  block_ = std::move(block);
  read_ = 0;
  filled_ = count;
  if (count > 0) on_input_moved();
}

H1Connection::BodyStep H1Connection::decode_body() {
  for (;;) {
    const H1BodyDecoder::Step step = decoder_.next(unread_data(), unread());
    if (step.size > 0) incoming_.append(Slice{block_, step.data, step.size});
    consume(step.consumed);
    if (step.status == H1BodyDecoder::Status::kReject) return BodyStep::kReject;
    if (step.status == H1BodyDecoder::Status::kDone) return BodyStep::kDone;
    if (unread() == 0) return BodyStep::kMore;
  }
}

void H1Connection::expect(Wait wait, std::chrono::nanoseconds delay) {
  wait_ = wait;
  wait_deadline_ = worker_.now() + delay.count();
  arm(wait_deadline_);
}

void H1Connection::arm(Nanoseconds deadline) {
  if (timer_.armed() && armed_for_ <= deadline) return;
  armed_for_ = deadline;
  timer_.arm(worker_.timers(),
             std::chrono::nanoseconds(std::max<Nanoseconds>(0, deadline - worker_.now())),
             [this] { on_timer(); });
}

void H1Connection::look_at_output_later() {
  send_deadline_ = worker_.now() + (send_timeout_ / (kAlike + 1)).count();
  arm(send_deadline_);
}

// The kernel takes more only when a good part of its buffer is free, which a slow peer needs long
// for. What it acknowledged tells earlier; a little of that comes though nobody reads there.
bool H1Connection::peer_stands_still() {
  const int before = std::exchange(unacknowledged_, net::unacknowledged(stream_.fd()));
  looks_alike_ = unacknowledged_ < before ? 0 : looks_alike_ + 1;
  return looks_alike_ == kAlike;
}

void H1Connection::on_timer() {
  if (closed_) return;
  const Nanoseconds now = worker_.now();
  if (send_deadline_ != 0 && now >= send_deadline_) {
    if (peer_stands_still()) {
      on_send_expired();
    } else {
      look_at_output_later();
    }
  } else if (wait_deadline_ != 0 && now >= wait_deadline_) {
    const Wait wait = wait_;
    expect_nothing();
    on_wait_expired(wait);
  }
  if (closed_) return;
  if (send_deadline_ != 0) arm(send_deadline_);
  if (wait_deadline_ != 0) arm(wait_deadline_);
}

void H1Connection::take_over(H1Connection& other) {
  stream_.take_over(other.stream_);
  block_ = std::move(other.block_);
  read_ = std::exchange(other.read_, 0);
  filled_ = std::exchange(other.filled_, 0);
  input_ended_ = other.input_ended_;
  input_error_ = other.input_error_;
}

void H1Connection::close_stream() {
  closed_ = true;
  timer_.cancel();
  expect_nothing();
  send_deadline_ = 0;
  out_.clear();
  stream_.close();
}

}  // namespace heddle::http
