#include <utility>

#include "http/h2_client.h"

namespace heddle::http {

void H2ClientStream::open(H2Endpoint* new_endpoint, const ClientLimits& stream_limits,
                          Receiver& new_receiver) {
  clear();
  receiver = &new_receiver;
  endpoint = new_endpoint;
  limits = stream_limits;
  high_watermark = stream_limits.high_watermark;
  informational = moves_ = 0;
  keep_ = true;
  idempotent = upgrade = tunnel = head_ends = false;
  error_detail_.clear();
}

H2ClientConnection& H2ClientStream::client() const {
  return static_cast<H2ClientConnection&>(*connection);
}

void H2ClientStream::send_head(const HeaderMap& headers, bool end) {
  if (head_sent || receiver == nullptr) return;
  head_sent = true;
  head_ends = out_end = end;
  idempotent = is_idempotent(headers.get(":method").value_or("GET"));
  upgrade = !end && wants_upgrade(headers);
  head = make_head();
  for (const HeaderMap::Entry& entry : headers) head->headers.add(entry.name, entry.value);
  join();
}

bool H2ClientStream::join() {
  if (!endpoint->is_valid()) {
    fail_soon(StreamError::kRefused,
              "endpoint '" + endpoint->target.endpoint + "' is not host:port");
    return false;
  }
  H2ClientConnection* const found = pool_.find(*endpoint, *this);
  if (found == nullptr) {
    fail_soon(StreamError::kOverflow, "max_connections (" + std::to_string(limits.max_connections) +
                                          ") reached for upstream " + endpoint->target.endpoint);
    return false;
  }
  found->attach(*this);
  return true;
}

void H2ClientStream::send_data(Buffer&& data, bool end) {
  // An upgrade without an answer: nothing may follow, as over HTTP/1.
  if (upgrade && !tunnel) {
    data.clear();
    if (end && connection != nullptr) queue_data(std::move(data), true);
    return;
  }
  if (keep_) keep(data);
  queue_data(std::move(data), end);
}

void H2ClientStream::keep(const Buffer& data) {
  if (connection == nullptr || kept_.size() + data.size() > kMaxReplay) {
    keep_ = false;
    kept_.clear();
    return;
  }
  for (const Slice& slice : data.slices()) kept_.append(slice);
}

void H2ClientStream::answered() {
  keep_ = false;
  kept_.clear();
  if (!upgrade) head.reset();
}

void H2ClientStream::move() {
  ++moves_;
  client().leave(*this);
  ++generation;
  id = 0;
  ready = session_closed = out_done = deferred = was_above = false;
  send_deadline = receive_deadline = 0;
  length_left.reset();
  outgoing.clear();
  Buffer body = std::move(kept_);
  const bool ended = std::exchange(out_end, head_ends);
  if (!join()) return;
  if (head_ends) return;
  for (const Slice& slice : body.slices()) kept_.append(slice);
  if (HeadPtr trailers = std::move(outgoing_trailers)) {
    queue_data(std::move(body), false);
    queue_trailers(trailers->headers);
  } else if (ended || !body.empty()) {
    queue_data(std::move(body), ended);
  }
}

void H2ClientStream::reset(StreamError error) {
  if (receiver == nullptr) return;
  if (connection != nullptr) {
    client().give_up(*this, error);
  } else {
    finish();
  }
}

const UpstreamInfo& H2ClientStream::upstream() const {
  static const UpstreamInfo kNone;
  return connection == nullptr ? kNone : client().info;
}

void H2ClientStream::fail_soon(StreamError error, std::string detail) {
  error_ = error;
  error_detail_ = std::move(detail);
  pool_.context.worker.queue_flush(*this);
}

void H2ClientStream::flush() {
  if (receiver == nullptr || error_detail_.empty()) return;
  const std::string detail = std::exchange(error_detail_, {});
  if (connection != nullptr) {
    client().fail(*this, error_, detail);
    return;
  }
  Receiver* const gone = std::exchange(receiver, nullptr);
  gone->on_reset(error_, detail);
  finish();
}

void H2ClientStream::finish() {
  kept_.clear();
  head.reset();
  pool_.recycle(*this);
}

}  // namespace heddle::http
