#include <utility>

#include "http/h1_client.h"

namespace heddle::http {
void H1ClientStream::open(H1Endpoint* new_endpoint, const ClientLimits& stream_limits,
                          Receiver& new_receiver) {
  receiver = &new_receiver;
  endpoint = new_endpoint;
  connection = nullptr;
  limits = stream_limits;
  body_writer.start({});
  sent_before = received_before = 0;
  paused = 0;
  head_sent = request_end = head_request = idempotent = upgrade = tunnel = false;
  error_detail_.clear();
}

bool H1ClientStream::take_connection() {
  if (!endpoint->is_valid()) {
    fail_soon(StreamError::kRefused,
              "endpoint '" + endpoint->target.endpoint + "' is not host:port");
    return false;
  }
  H1ClientConnection* taken = pool_.take_idle(*endpoint, !idempotent);
  if (taken == nullptr) taken = pool_.connect(*endpoint, limits);
  if (taken == nullptr) {
    fail_soon(StreamError::kOverflow, "max_connections (" + std::to_string(limits.max_connections) +
                                          ") reached for upstream " + endpoint->target.endpoint);
    return false;
  }
  taken->attach(*this);
  return true;
}

void H1ClientStream::send_head(const HeaderMap& headers, bool end) {
  if (head_sent || receiver == nullptr) return;
  head_sent = true;
  const std::string_view method = headers.get(":method").value_or("GET");
  head_request = method == "HEAD";
  idempotent = is_idempotent(method);
  // Such a request has not ended: the tunnel follows.
  if (!end) upgrade = wants_upgrade(headers);
  if (!take_connection()) return;
  const Framing framing = write_request_head(connection->out(), connection->output(), headers,
                                             {.end = end, .upgrade = upgrade});
  body_writer.start(framing);
  request_end = end;
  connection->wrote();
  if (end && framing.kind == BodyKind::kLength) finish_short();
}

void H1ClientStream::send_data(Buffer&& data, bool end) {
  if (receiver == nullptr || connection == nullptr) return;
  if (tunnel) {
    connection->out().append(std::move(data));
    request_end = request_end || end;
    connection->wrote();
    return;
  }
  if (request_end) {
    data.clear();
    return;
  }
  if (upgrade) {  // nothing may follow before the 101
    data.clear();
    request_end = end;
    return;
  }
  switch (body_writer.write(connection->out(), connection->output(), std::move(data), end)) {
    case BodyWriter::Outcome::kGood:
      break;
    case BodyWriter::Outcome::kShort:
      finish_short();
      return;
    case BodyWriter::Outcome::kExcess:
      end = true;
      connection->retired = true;
      break;
  }
  request_end = end;
  connection->wrote();
}

void H1ClientStream::send_trailers(const HeaderMap& trailers) {
  if (receiver == nullptr || connection == nullptr || request_end) return;
  if (body_writer.framing().kind == BodyKind::kLength && body_writer.framing().length > 0) {
    finish_short();
    return;
  }
  body_writer.write_trailers(connection->out(), connection->output(), trailers);
  request_end = true;
  connection->wrote();
}

// A body shorter than announced must not look whole.
void H1ClientStream::finish_short() {
  fail_soon(StreamError::kCancelled, "the request ended before its content-length");
}

void H1ClientStream::reset(StreamError error) {
  (void)error;
  if (receiver == nullptr) return;
  if (connection != nullptr) connection->abandon();
  pool_.recycle(*this);
}

void H1ClientStream::resume_receiving() {
  if (paused == 0) return;
  if (--paused > 0) return;
  if (connection != nullptr) connection->look_again();
}

bool H1ClientStream::above_watermark() const {
  return connection != nullptr && connection->unsent() > limits.high_watermark;
}

std::uint64_t H1ClientStream::bytes_sent() const {
  return connection == nullptr ? 0 : connection->sent() - sent_before;
}

std::uint64_t H1ClientStream::bytes_received() const {
  return connection == nullptr ? 0 : connection->received() - received_before;
}

const UpstreamInfo& H1ClientStream::upstream() const {
  static const UpstreamInfo kNone;
  return connection == nullptr ? kNone : connection->info;
}

void H1ClientStream::fail_soon(StreamError error, std::string detail) {
  error_ = error;
  error_detail_ = std::move(detail);
  pool_.context.worker.queue_flush(*this);
}

void H1ClientStream::flush() {
  if (receiver == nullptr || error_detail_.empty()) return;
  if (connection != nullptr) connection->abandon();
  fail(error_, error_detail_);
}

void H1ClientStream::fail(StreamError error, std::string_view detail) {
  Receiver* const gone = std::exchange(receiver, nullptr);
  if (gone == nullptr) return;
  gone->on_reset(error, detail);
  pool_.recycle(*this);
}

void H1ClientStream::complete() {
  Receiver* const gone = std::exchange(receiver, nullptr);
  if (gone == nullptr) return;
  gone->on_complete();
  pool_.recycle(*this);
}

}  // namespace heddle::http
