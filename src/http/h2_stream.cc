#include "http/h2_stream.h"

#include <utility>

#include "http/h2_connection.h"

namespace heddle::http {

void H2Stream::queue_data(Buffer&& data, bool end) {
  if (connection == nullptr || !head_sent || out_end || !failure.empty()) {
    data.clear();
    return;
  }
  if (drop_body) {
    data.clear();
  } else if (length_left) {
    if (data.size() > *length_left) {
      data = data.split(static_cast<std::size_t>(*length_left));
      end = true;
    }
    *length_left -= data.size();
    if (end && *length_left > 0) {
      data.clear();
      connection->fail_soon(*this, "the message ended before its content-length");
      return;
    }
  }
  outgoing.append(std::move(data));
  out_end = end;
  if (outgoing.size() > high_watermark) was_above = true;
  if (id != 0) connection->resume_sending(*this);
}

void H2Stream::queue_trailers(const HeaderMap& trailers) {
  if (connection == nullptr || !head_sent || out_end || !failure.empty()) return;
  if (!drop_body) {
    if (length_left && *length_left > 0) {
      connection->fail_soon(*this, "the message ended before its content-length");
      return;
    }
    outgoing_trailers = make_head();
    for (const HeaderMap::Entry& entry : trailers)
      outgoing_trailers->headers.add(entry.name, entry.value);
  }
  out_end = true;
  if (id != 0) connection->resume_sending(*this);
}

void H2Stream::resume() {
  if (paused == 0) return;
  --paused;
  if (paused > 0 || connection == nullptr) return;
  connection->deliver_soon(*this);
}

void H2Stream::clear() {
  ++generation;
  connection = nullptr;
  receiver = nullptr;
  id = 0;
  incoming.clear();
  incoming_trailers.reset();
  outgoing.clear();
  outgoing_trailers.reset();
  length_left.reset();
  failure.clear();
  unconsumed = 0;
  body_bytes = received = sent = end_mark = 0;
  paused = 0;
  receive_deadline = send_deadline = 0;
  head_received = incoming_end = input_cut = end_delivered = false;
  head_sent = drop_body = out_end = out_done = deferred = was_above = false;
  session_closed = ready = false;
}

}  // namespace heddle::http
