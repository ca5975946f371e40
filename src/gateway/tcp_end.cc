#include "gateway/tcp_end.h"

#include <array>
#include <cerrno>
#include <utility>

namespace heddle::gateway {
namespace {

// A read with less room than this is not worth its system call.
constexpr std::size_t kMinRoom = 2048;
constexpr std::size_t kMaxParts = 64;

}  // namespace

TcpEnd::TcpEnd(net::Worker& worker, Owner& owner)
    : worker_(worker), owner_(owner), stream_(worker, *this) {}

TcpEnd::~TcpEnd() {
  worker_.forget_flush(*this);
}

void TcpEnd::adopt(net::Fd fd) {
  stream_.adopt(std::move(fd));
  open_ = true;
}

void TcpEnd::connect(const net::SocketAddress& address) {
  stream_.connect(address);
}

void TcpEnd::on_connect(int error) {
  open_ = error == 0;
  owner_.on_end_connected(error);
}

void TcpEnd::start_tls_server(std::shared_ptr<const net::TlsServerContext> context) {
  open_ = false;
  stream_.start_tls_server(std::move(context));
}

// Without ALPN: what the bytes mean is not known here.
void TcpEnd::start_tls_client(std::shared_ptr<const net::TlsClientContext> context,
                              const std::string& server_name) {
  open_ = false;
  stream_.start_tls_client(std::move(context), server_name, {});
}

void TcpEnd::on_tls(std::string_view error) {
  open_ = error.empty();
  owner_.on_end_secured(*this, error);
}

void TcpEnd::write(http::Buffer&& bytes) {
  if (refused_) return;
  out_.append(std::move(bytes));
  worker_.queue_flush(*this);
}

void TcpEnd::finish() {
  fin_wanted_ = true;
  worker_.queue_flush(*this);
}

void TcpEnd::finish_with_reset() {
  reset_wanted_ = true;
  finish();
}

void TcpEnd::on_read(std::size_t count) {
  bulk_ = count == room_;
  received_ += count;
  http::Buffer bytes;
  bytes.append(http::Slice{block_, block_->data() + filled_, count});
  filled_ += count;
  owner_.on_end_bytes(*this, std::move(bytes));
  worker_.queue_flush(*this);
}

void TcpEnd::on_read_end(int error) {
  if (error != 0) {
    owner_.on_end_broken(*this, error);
    return;
  }
  finished_ = true;
  owner_.on_end_finished(*this);
}

void TcpEnd::on_write_ready() {
  write_waiting_ = false;
  worker_.queue_flush(*this);
}

// A peer that resets while bytes wait for it may have answered without reading them. Otherwise it
// broke off.
void TcpEnd::on_broken() {
  if (out_.empty()) {
    broke_off_ = true;
    owner_.on_end_refused(*this, ECONNRESET);
  } else {
    refuse(ECONNRESET);
  }
  worker_.queue_flush(*this);
}

void TcpEnd::flush() {
  if (!open_) return;
  if (!out_.empty() && !write_waiting_) write_out();
  if (!open_) return;
  if (fin_wanted_ && out_.empty() && !std::exchange(fin_sent_, true)) {
    if (reset_wanted_) {
      abort();
    } else {
      stream_.shutdown_send();
    }
    owner_.on_end_sent(*this);
  }
  start_read();
}

void TcpEnd::write_out() {
  std::array<iovec, kMaxParts> parts;
  std::uint64_t taken_now = 0;
  while (!out_.empty()) {
    const std::size_t count = out_.to_iovec(parts);
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < count; ++i) wanted += parts.at(i).iov_len;
    const ssize_t sent = stream_.send({parts.data(), count});
    if (sent < 0 && sent != -EAGAIN) {
      refuse(static_cast<int>(-sent));
      return;
    }
    const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    out_.drain(taken);
    taken_now += taken;
    if (taken < wanted) {
      write_waiting_ = true;
      stream_.wait_writable();
      break;
    }
  }
  sent_ += taken_now;
  if (taken_now > 0) owner_.on_end_sent(*this);
}

void TcpEnd::refuse(int error) {
  refused_ = !broke_off_;
  fin_wanted_ = true;
  out_.clear();
  owner_.on_end_refused(*this, error);
}

void TcpEnd::start_read() {
  if (!open_ || finished_ || stream_.reading() || !owner_.wants_bytes(*this)) return;
  make_room();
  room_ = block_->capacity() - filled_;
  stream_.read(block_->data() + filled_, room_);
}

// A block serves again when everything that was read into it has gone on.
void TcpEnd::make_room() {
  const std::size_t wanted = bulk_ ? http::Block::kLargeSize : http::Block::kStandardSize;
  if (block_ && block_->capacity() == wanted) {
    if (!block_->shared()) {
      filled_ = 0;
      return;
    }
    if (block_->capacity() - filled_ >= (bulk_ ? wanted / 2 : kMinRoom)) return;
  }
  block_ = http::BlockRef(http::Block::create(wanted));
  filled_ = 0;
}

void TcpEnd::close() {
  open_ = false;
  out_.clear();
  stream_.close();
}

void TcpEnd::abort() {
  open_ = false;
  out_.clear();
  stream_.abort();
}

}  // namespace heddle::gateway
