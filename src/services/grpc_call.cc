#include "services/grpc_call.h"

#include <algorithm>
#include <array>

#include "net/worker.h"

namespace heddle::services {
namespace {

using http::StreamError;

// What an answer that broke off means: before it began, nobody can be reached.
GrpcCode code_of(StreamError error, bool answered) {
  switch (error) {
    case StreamError::kTimeout:
      return GrpcCode::kDeadlineExceeded;
    case StreamError::kRefused:
    case StreamError::kConnectTimeout:
    case StreamError::kOverflow:
    case StreamError::kUnavailable:
      return GrpcCode::kUnavailable;
    case StreamError::kClosed:
      return answered ? GrpcCode::kInternal : GrpcCode::kUnavailable;
    case StreamError::kCancelled:
      return GrpcCode::kCancelled;
    case StreamError::kProtocol:
    case StreamError::kTooLarge:
      return GrpcCode::kInternal;
  }
  return GrpcCode::kInternal;
}

}  // namespace

bool is_grpc_header(std::string_view lower_name) {
  constexpr std::array<std::string_view, 11> kOwn = {"te",
                                                     "content-type",
                                                     "content-length",
                                                     "grpc-timeout",
                                                     "host",
                                                     "connection",
                                                     "keep-alive",
                                                     "upgrade",
                                                     "transfer-encoding",
                                                     "grpc-encoding",
                                                     "proxy-connection"};
  return lower_name.starts_with(':') || std::ranges::find(kOwn, lower_name) != kOwn.end();
}

GrpcCall::GrpcCall(net::Worker& worker, const Limits& limits, GrpcEvents& events)
    : worker_(worker), limits_(limits), events_(&events), reader_(limits.max_message) {}

GrpcCall::~GrpcCall() {
  reset_stream();
}

void GrpcCall::start(http::Sender& sender, const GrpcRequest& request) {
  sender_ = &sender;
  const http::HeadPtr head = http::make_head();
  http::HeaderMap& headers = head->headers;
  headers.add(":method", "POST");
  headers.add(":scheme", "http");
  headers.add(":path", request.path);
  headers.add(":authority", request.authority);
  headers.add("te", "trailers");
  headers.add("content-type", "application/grpc");
  if (request.timeout.count() > 0) {
    headers.add("grpc-timeout", grpc_timeout(request.timeout));
    timer_.arm(worker_.timers(), request.timeout, [this] {
      const net::Worker::Scope scope(worker_);
      const auto self = shared_from_this();
      reset_stream();
      fail(GrpcCode::kDeadlineExceeded, "the time-out of the call is over");
    });
  }
  for (const auto& [name, value] : request.metadata) headers.add(name, value);
  sender.send_head(headers, false);
}

bool GrpcCall::send(std::string_view message, bool end) {
  if (sender_ == nullptr || request_ended_) return false;
  if (sender_->above_watermark()) {
    if (queued_ + message.size() > limits_.max_queued) return false;
    queued_ += message.size() + kGrpcPrefixSize;
  } else {
    queued_ = 0;
  }
  http::Buffer bytes;
  append_grpc_message(bytes, message);
  request_ended_ = end;
  sender_->send_data(std::move(bytes), end);
  return true;
}

void GrpcCall::end() {
  if (sender_ == nullptr || request_ended_) return;
  request_ended_ = true;
  sender_->send_data(http::Buffer(), true);
}

void GrpcCall::cancel() {
  events_ = nullptr;
  timer_.cancel();
  reset_stream();
}

void GrpcCall::reset_stream() {
  if (sender_ != nullptr) std::exchange(sender_, nullptr)->reset(StreamError::kCancelled);
}

void GrpcCall::on_informational(http::HeadPtr /*head*/) {}

void GrpcCall::on_head(http::HeadPtr head, bool end) {
  const auto self = shared_from_this();
  answered_ = true;
  const int http_status = head->status();
  auto status = grpc_status_of(head->headers);
  if (http_status != 200 && !status) {
    return fail(grpc_code_of_http(http_status),
                "the upstream answered with HTTP status " + std::to_string(http_status));
  }
  // Nothing but a status ("Trailers-Only").
  if (status && (end || http_status != 200)) return close_with(std::move(*status), std::move(head));
  if (events_ != nullptr) events_->on_initial_metadata(std::move(head));
  if (end) fail(GrpcCode::kUnknown, "the answer has no gRPC status");
}

void GrpcCall::on_data(http::Buffer& data, bool end) {
  const auto self = shared_from_this();
  reader_.feed(std::move(data));
  read_messages();
  if (end) fail(GrpcCode::kUnknown, "the answer ended without a gRPC status");
}

void GrpcCall::read_messages() {
  while (events_ != nullptr && !ended_) {
    http::Buffer message;
    switch (reader_.next(message)) {
      case GrpcReader::State::kMessage:
        events_->on_message(std::move(message));
        break;
      case GrpcReader::State::kMore:
        return;
      case GrpcReader::State::kCompressed:
        return fail(GrpcCode::kInternal, "a message is compressed, which was not offered");
      case GrpcReader::State::kTooLarge:
        return fail(GrpcCode::kResourceExhausted,
                    "a message is larger than " + std::to_string(limits_.max_message) + " bytes");
    }
  }
}

void GrpcCall::on_trailers(http::HeadPtr trailers) {
  const auto self = shared_from_this();
  auto status = grpc_status_of(trailers->headers);
  if (!status) {
    status = GrpcStatus{.code = GrpcCode::kUnknown,
                        .message = "the answer ended without a gRPC status",
                        .local = true};
  } else if (status->code == GrpcCode::kOk && reader_.incomplete()) {
    status = GrpcStatus{.code = GrpcCode::kInternal,
                        .message = "the answer ended in the middle of a message",
                        .local = true};
  }
  close_with(std::move(*status), std::move(trailers));
}

void GrpcCall::on_reset(StreamError error, std::string_view detail) {
  const auto self = shared_from_this();
  sender_ = nullptr;
  if (!ended_) {
    std::string message = "upstream reset: ";
    message += detail.empty() ? http::to_string(error) : detail;
    fail(code_of(error, answered_), std::move(message));
  }
  finish();
}

void GrpcCall::on_complete() {
  const auto self = shared_from_this();
  sender_ = nullptr;
  if (!ended_) fail(GrpcCode::kUnknown, "the answer ended without a gRPC status");
  finish();
}

// When everything was sent too, the stream is about to complete by itself, in this event; waiting
// for that spares the upstream a reset.
void GrpcCall::close_with(GrpcStatus status, http::HeadPtr trailers) {
  if (ended_) return;
  ended_ = true;
  status_ = std::move(status);
  trailers_ = std::move(trailers);
  if (sender_ != nullptr && request_ended_) {
    worker_.defer([self = shared_from_this()] { self->finish(); });
  } else {
    finish();
  }
}

void GrpcCall::finish() {
  timer_.cancel();
  reset_stream();
  if (auto* events = std::exchange(events_, nullptr)) {
    events->on_close(std::move(trailers_), std::move(status_));
  }
}

}  // namespace heddle::services
