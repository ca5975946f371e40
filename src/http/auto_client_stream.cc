#include <utility>

#include "http/auto_client.h"
#include "http/h1_client.h"
#include "http/h2_client.h"

namespace heddle::http {

void AutoClientStream::open(AutoEndpoint* new_endpoint, const ClientLimits& new_limits,
                            Receiver& new_receiver) {
  endpoint = new_endpoint;
  limits = new_limits;
  receiver_ = &new_receiver;
  inner_ = nullptr;
  paused_ = 0;
  ended_ = head_ends_ = false;
  error_detail_.clear();
}

void AutoClientStream::send_head(const HeaderMap& headers, bool end) {
  if (receiver_ == nullptr || head_ || inner_ != nullptr) return;
  head_ = make_head();
  for (const HeaderMap::Entry& entry : headers) head_->headers.add(entry.name, entry.value);
  head_ends_ = ended_ = end;
  pool_.place(*this);
}

void AutoClientStream::bind(ClientProtocol protocol) {
  inner_ = protocol == ClientProtocol::kHttp2 ? &pool_.http2.open(endpoint->http2, limits, *this)
                                              : &pool_.http1.open(endpoint->http1, limits, *this);
  for (int i = 0; i < paused_; ++i) inner_->pause_receiving();
  const HeadPtr head = std::move(head_);
  const HeadPtr trailers = std::move(trailers_);
  inner_->send_head(head->headers, head_ends_);
  if (head_ends_) return;
  if (trailers) {
    inner_->send_data(std::move(queued_), false);
    inner_->send_trailers(trailers->headers);
  } else if (ended_ || !queued_.empty()) {
    inner_->send_data(std::move(queued_), ended_);
  }
}

void AutoClientStream::send_data(Buffer&& data, bool end) {
  if (inner_ != nullptr) {
    inner_->send_data(std::move(data), end);
  } else if (receiver_ != nullptr && !ended_) {
    queued_.append(std::move(data));
    ended_ = end;
  } else {
    data.clear();
  }
}

void AutoClientStream::send_trailers(const HeaderMap& trailers) {
  if (inner_ != nullptr) {
    inner_->send_trailers(trailers);
  } else if (receiver_ != nullptr && !ended_) {
    trailers_ = make_head();
    for (const HeaderMap::Entry& entry : trailers) trailers_->headers.add(entry.name, entry.value);
    ended_ = true;
  }
}

void AutoClientStream::reset(StreamError error) {
  if (receiver_ == nullptr) return;
  receiver_ = nullptr;
  if (inner_ != nullptr) inner_->reset(error);
  finish();
}

void AutoClientStream::pause_receiving() {
  ++paused_;
  if (inner_ != nullptr) inner_->pause_receiving();
}

void AutoClientStream::resume_receiving() {
  if (paused_ == 0) return;
  --paused_;
  if (inner_ != nullptr) inner_->resume_receiving();
}

bool AutoClientStream::above_watermark() const {
  return inner_ != nullptr ? inner_->above_watermark() : queued_.size() > limits.high_watermark;
}

std::uint64_t AutoClientStream::bytes_sent() const {
  return inner_ != nullptr ? inner_->bytes_sent() : 0;
}

std::uint64_t AutoClientStream::bytes_received() const {
  return inner_ != nullptr ? inner_->bytes_received() : 0;
}

const UpstreamInfo& AutoClientStream::upstream() const {
  static const UpstreamInfo kNone;
  return inner_ != nullptr ? inner_->upstream() : kNone;
}

void AutoClientStream::fail(StreamError error, std::string_view detail) {
  if (Receiver* const receiver = std::exchange(receiver_, nullptr)) {
    receiver->on_reset(error, detail);
    finish();
  }
}

void AutoClientStream::on_complete() {
  if (Receiver* const receiver = std::exchange(receiver_, nullptr)) {
    receiver->on_complete();
    finish();
  }
}

void AutoClientStream::fail_soon(StreamError error, std::string detail) {
  error_ = error;
  error_detail_ = std::move(detail);
  pool_.context.worker.queue_flush(*this);
}

void AutoClientStream::flush() {
  if (!error_detail_.empty()) fail(error_, std::exchange(error_detail_, {}));
}

void AutoClientStream::finish() {
  pool_.forget_waiting(*this);
  inner_ = nullptr;
  head_.reset();
  trailers_.reset();
  queued_.clear();
  pool_.recycle(*this);
}

}  // namespace heddle::http
