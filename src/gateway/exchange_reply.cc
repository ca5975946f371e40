// Answers that filters and Heddle itself give in place of the origin's.
#include <algorithm>
#include <string>
#include <utility>

#include "gateway/exchange.h"
#include "http/grpc.h"

namespace heddle::gateway {

using extension::LocalReply;
using http::StreamError;

namespace {

void write_reply_head(http::HeaderMap& headers, const LocalReply& reply) {
  headers.set(":status", std::to_string(reply.status));
  bool typed = false;
  for (const auto& [name, value] : reply.headers) {
    if (http::equals_ignoring_case(name, "content-length") || name.starts_with(':')) continue;
    typed = typed || http::equals_ignoring_case(name, "content-type");
    headers.add(name, value);
  }
  if (!reply.body.empty()) {
    headers.set("content-length", std::to_string(reply.body.size()));
    if (!typed) headers.add("content-type", "text/plain");
  }
  if (reply.grpc_status >= 0) headers.set("grpc-status", std::to_string(reply.grpc_status));
}

}  // namespace

// A gRPC client expects the failure in headers of their own, without a body.
void Exchange::to_grpc(LocalReply& reply) {
  const http::Head* request = chain_.head(Side::kRequest);
  if (request == nullptr || !http::is_grpc(request->headers)) {
    reply.grpc_status = -1;
    return;
  }
  if (reply.grpc_status < 0) reply.grpc_status = http::grpc_status_of_http(reply.status);
  reply.status = 200;
  std::erase_if(reply.headers, [](const auto& header) {
    return http::equals_ignoring_case(header.first, "content-type");
  });
  reply.headers.emplace_back("content-type", "application/grpc");
  if (!reply.body.empty())
    reply.headers.emplace_back("grpc-message", http::grpc_message(std::exchange(reply.body, {})));
}

void Exchange::send_reply(LocalReply reply) {
  if (finished_) return;
  if (outgoing(Side::kResponse).head_sent || client_ == nullptr) {
    break_off(reply.details, "LR");
    return;
  }
  retain();
  replied_ = true;
  const std::uint32_t reply_number = ++replies_;
  drop_origin(StreamError::kCancelled);
  to_grpc(reply);
  info_.response_code = reply.status;
  info_.response_code_details = std::move(reply.details);
  std::ranges::replace(info_.response_code_details, ' ', '_');
  // Reading goes on: a paused client could otherwise never finish its request and close.
  if (std::exchange(client_paused_, false)) client_->resume_receiving();
  chain_.restart_response();
  Outgoing& out = outgoing(Side::kResponse);
  out.reset();

  http::HeadPtr head = http::make_head();
  http::HeaderMap& headers = head->headers;
  write_reply_head(headers, reply);
  const bool body = !reply.body.empty();
  note_arrival(Side::kResponse, headers, !body);
  chain_.set_head(Side::kResponse, std::move(head));
  chain_.headers(Side::kResponse, !body);
  // A filter may have answered in place of this head: then its answer is there already, whole.
  if (body && !finished_ && replies_ == reply_number) {
    http::Buffer bytes;
    bytes.append(reply.body);
    out.arrived += bytes.size();
    chain_.data(Side::kResponse, bytes, true);
  }
  release();
}

}  // namespace heddle::gateway
