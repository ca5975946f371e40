// The response's half of an exchange: what comes from the origin, what filters and Heddle answer
// themselves, and what goes out on both sides behind the filter chain.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "gateway/exchange.h"
#include "gateway/forwarding.h"

namespace heddle::gateway {

using extension::LocalReply;
using http::StreamError;

namespace {

// Content-length as a number; nothing when absent (the codec has checked its form).
std::optional<std::uint64_t> content_length(const http::HeaderMap& headers) {
  const auto text = headers.get("content-length");
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

void set_number(http::HeaderMap& headers, std::string_view name, std::uint64_t value) {
  std::array<char, 24> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  headers.set(name, {digits.data(), static_cast<std::size_t>(end - digits.data())});
}

// What a client gets when its request could not be answered by the upstream.
struct FailureAnswer {
  int status;
  std::string_view code;
  std::string_view message;
  std::string_view details;
  std::string_view flags;
};

const FailureAnswer& answer_to(StreamError error) {
  static constexpr FailureAnswer kTimeout = {
      504, "upstream_timeout", "the upstream did not answer in time", "upstream_timeout", "UT"};
  static constexpr FailureAnswer kRefused = {
      502, "upstream_failed", "the upstream cannot be reached", "upstream_connect_failure", "UF"};
  static constexpr FailureAnswer kOverflow = {503, "upstream_overloaded",
                                              "the upstream takes no more requests at the moment",
                                              "upstream_overflow", "UO"};
  static constexpr FailureAnswer kUnavailable = {503, "upstream_unavailable",
                                                 "no endpoint of the upstream is healthy",
                                                 "no_healthy_upstream", "UH"};
  static constexpr FailureAnswer kReset = {
      502, "upstream_failed", "the upstream broke off before it answered", "upstream_reset", "UC"};
  switch (error) {
    case StreamError::kTimeout:
    case StreamError::kConnectTimeout:
      return kTimeout;
    case StreamError::kRefused:
      return kRefused;
    case StreamError::kOverflow:
      return kOverflow;
    case StreamError::kUnavailable:
      return kUnavailable;
    case StreamError::kClosed:
    case StreamError::kProtocol:
    case StreamError::kTooLarge:
    case StreamError::kCancelled:
      return kReset;
  }
  return kReset;
}

}  // namespace

// ---- from the origin ----

void Exchange::Response::on_informational(http::HeadPtr head) {
  Exchange& e = exchange_;
  // 100 is the server connection's own business; others (103 early hints) pass.
  if (e.client_ == nullptr || e.replied_ || head->status() == 100) return;
  if (!e.outgoing(Side::kResponse).head_sent) e.client_->send_informational(head->headers);
}

void Exchange::Response::on_head(http::HeadPtr head, bool end) {
  Exchange& e = exchange_;
  if (e.finished_ || e.replied_) return;
  e.retain();
  e.active_since_timer_ = true;
  e.origin_->describe(*e.upstream_, e.info_);
  e.info_.response_code = head->status();
  // An origin that answers by itself has said why.
  if (e.info_.response_code_details.empty()) e.info_.response_code_details = "via_upstream";
  if (e.info_.upstream_retries_exhausted) e.info_.response_flags = "URX";
  e.note_arrival(Side::kResponse, head->headers, end);
  e.chain_.set_head(Side::kResponse, std::move(head));
  e.chain_.headers(Side::kResponse, end);
  e.release();
}

void Exchange::Response::on_data(http::Buffer& data, bool end) {
  Exchange& e = exchange_;
  if (e.finished_ || e.replied_) return;
  e.active_since_timer_ = true;
  e.retain();
  if (e.tunnel_) {
    if (!e.closing_) e.send_data(Side::kResponse, std::move(data), end);
  } else {
    e.outgoing(Side::kResponse).arrived += data.size();
    e.chain_.data(Side::kResponse, data, end);
  }
  e.release();
}

void Exchange::Response::on_trailers(http::HeadPtr trailers) {
  Exchange& e = exchange_;
  if (e.finished_ || e.replied_ || e.tunnel_) return;
  e.retain();
  e.chain_.trailers(Side::kResponse, std::move(trailers));
  e.release();
}

void Exchange::Response::on_reset(StreamError error, std::string_view detail) {
  exchange_.origin_failed(error, detail);
}

void Exchange::Response::on_writable() {
  if (std::exchange(exchange_.client_paused_, false) && exchange_.client_ != nullptr) {
    exchange_.client_->resume_receiving();
  }
}

void Exchange::Response::on_complete() {
  Exchange& e = exchange_;
  if (e.upstream_ == nullptr) return;
  const UpstreamMetrics& metrics = *e.route_->origin_metrics;
  metrics.active->add(-1);
  const int status = e.info_.response_code;
  metrics.responses.at(status >= 100 && status < 600 ? static_cast<std::size_t>(status / 100) : 0)
      ->add();
  e.upstream_ = nullptr;
  // Nobody is left to take what the client may still send: it has a while to end its side.
  if (e.tunnel_ && !e.request_ended_ && !e.finished_ && !e.closing_) e.farewell();
}

void Exchange::origin_failed(StreamError error, std::string_view detail) {
  route_->origin_metrics->active->add(-1);
  route_->origin_metrics->responses[0]->add();
  origin_->describe(*upstream_, info_);
  upstream_ = nullptr;
  if (finished_ || replied_) return;
  retain();
  if (closing_) {
    break_off(info_.response_code_details, info_.response_flags);
    release();
    return;
  }
  info_.upstream_failure = detail.empty() ? to_string(error) : detail;
  gateway_.log().warn("upstream failed", {{"upstream", info_.upstream},
                                          {"address", info_.upstream_address},
                                          {"error", to_string(error)},
                                          {"detail", detail},
                                          {"request_id", info_.request_id}});
  if (outgoing(Side::kResponse).head_sent) {
    break_off("upstream_reset", "UC");
  } else {
    const FailureAnswer& answer = answer_to(error);
    info_.response_flags = answer.flags;
    if (info_.upstream_retries_exhausted) info_.response_flags += ",URX";
    respond(answer.status, answer.code, answer.message, answer.details);
  }
  release();
}

// ---- answers of Heddle and of filters ----

void Exchange::chain_local_reply(LocalReply reply, const std::string& plugin) {
  if (reply.status < 200 || reply.status > 599) {
    gateway_.log().warn(
        "a plugin answered with a status that HTTP does not have; sent as 500",
        {{"plugin", plugin}, {"status", reply.status}, {"request_id", info_.request_id}});
    reply.status = 500;
  }
  if (reply.details.empty()) reply.details = "local_reply";
  send_reply(std::move(reply));
}

void Exchange::chain_reset(const std::string& plugin) {
  gateway_.log().debug("a plugin reset the stream",
                       {{"plugin", plugin}, {"request_id", info_.request_id}});
  break_off("plugin_reset", "LR");
}

void Exchange::chain_overflow(Side side, const std::string& plugin) {
  gateway_.log().warn("a plugin held more of a body than its buffer_limit",
                      {{"plugin", plugin},
                       {"request_id", info_.request_id},
                       {"side", side == Side::kRequest ? "request" : "response"}});
  if (side == Side::kRequest) {
    respond(413, "payload_too_large",
            plugin_text(plugin, " buffers no body of this size (buffer_limit)"),
            "request_payload_too_large");
  } else {
    respond(502, "response_too_large",
            plugin_text(plugin, " buffers no body of this size (buffer_limit)"),
            "response_payload_too_large");
  }
}

// ---- behind the filter chain ----

void Exchange::note_arrival(Side side, const http::HeaderMap& headers, bool end) {
  Outgoing& out = outgoing(side);
  out.ended_at_head = end;
  const auto length = content_length(headers);
  out.has_length = length.has_value();
  out.announced = end ? 0 : length.value_or(0);
}

void Exchange::chain_headers(Side side, bool end) {
  if (finished_) return;
  if (side == Side::kRequest) {
    forward_request(end);
    return;
  }
  http::Head& head = *chain_.head(Side::kResponse);
  info_.response_code = head.status();
  const bool switches =
      info_.response_code == 101 && !replied_ && chain_.head(Side::kRequest)->upgrade;
  if (info_.response_code < 200 && !switches) {
    // Nobody asked for an upgrade: the client could not tell where this answer ends.
    respond(502, "bad_response", "the answer has a status that cannot end an exchange",
            "bad_response_status");
    return;
  }
  strip_hop_by_hop(head.headers, switches);
  head.headers.set_view("x-request-id", info_.request_id);
  if (switches) {
    tunnel_ = true;
    timer_.cancel();
  }
  if (!head_must_wait(side, head.headers, end)) send_head(side, end);
}

// For a head that goes before its body: what a filter wrote into content-length does not count, the
// body's length is what arrived.
void Exchange::repair_length(Side side, http::HeaderMap& headers) {
  const Outgoing& out = outgoing(side);
  if (!out.has_length) {
    headers.remove("content-length");
  } else if (headers.contains("content-length")) {
    set_number(headers, "content-length", out.announced);
  }
}

// A head that announces a length waits for its body when filters may still change that.
bool Exchange::head_must_wait(Side side, http::HeaderMap& headers, bool end) {
  Outgoing& out = outgoing(side);
  out.head_waits =
      !end && !tunnel_ && chain_.has_data_filter(side) && headers.contains("content-length");
  if (!end && !out.head_waits && !chain_.empty()) repair_length(side, headers);
  return out.head_waits;
}

void Exchange::send_head(Side side, bool end) {
  Outgoing& out = outgoing(side);
  http::Head& head = *chain_.head(side);
  http::HeaderMap& headers = head.headers;
  // A filter took the upgrade away: what would have followed a 101 does not come.
  if (side == Side::kRequest && head.upgrade && !http::wants_upgrade(headers)) {
    head.upgrade = false;
    end = true;
  }
  // A filter dropped the body that this length announced.
  if (end && !out.ended_at_head) headers.remove("content-length");
  out.head_sent = true;
  out.ended = end;
  if (side == Side::kRequest) {
    if (upstream_ != nullptr) upstream_->send_head(headers, end);
  } else if (client_ != nullptr) {
    client_->send_head(headers, end);
  }
}

void Exchange::chain_data(Side side, http::Buffer& data, bool end) {
  Outgoing& out = outgoing(side);
  if (finished_ || (side == Side::kRequest && replied_)) return;
  out.emitted += data.size();
  if (out.head_waits) {
    out.pending.append(std::move(data));
    // All of the original body has been through the filters: only its end can add something.
    if (!end && out.arrived == out.announced && out.announced <= std::uint64_t{64} << 10U) return;
    release_head(side, end, false);
  } else if (out.promised) {
    keep_promise(side, data, end);
  } else {
    send_data(side, std::move(data), end);
  }
}

// What is known when the first bytes of a long body must go: its whole, or that nobody changed its
// length so far, or nothing.
void Exchange::release_head(Side side, bool end, bool trailers) {
  Outgoing& out = outgoing(side);
  out.head_waits = false;
  http::HeaderMap& headers = chain_.head(side)->headers;
  if (end) {
    set_number(headers, "content-length", out.pending.size());
  } else if (trailers) {
    if (out.emitted != out.announced) headers.remove("content-length");
  } else if (out.has_length && out.emitted == out.arrived && !chain_.known_resizer(side)) {
    set_number(headers, "content-length", out.announced);
    out.promised = true;
  } else {
    headers.remove("content-length");
  }
  send_head(side, false);
  http::Buffer pending = std::move(out.pending);
  out.pending.clear();
  if (out.promised) {
    keep_promise(side, pending, false);
  } else {
    send_data(side, std::move(pending), end);
  }
}

// A length was sent. The bytes that complete it wait for the end of the body, so that a message
// that turns out longer or shorter never looks whole.
void Exchange::keep_promise(Side side, http::Buffer& data, bool end) {
  Outgoing& out = outgoing(side);
  if (out.emitted > out.arrived || (end && out.emitted != out.announced)) {
    promise_broken(side);
    return;
  }
  out.pending.append(std::move(data));
  if (!end && out.emitted == out.announced) return;
  http::Buffer pending = std::move(out.pending);
  out.pending.clear();
  send_data(side, std::move(pending), end);
}

void Exchange::promise_broken(Side side) {
  chain_.note_resizer(side);
  gateway_.log().warn(
      "a plugin changed the length of a body after its content-length was sent; from now on such "
      "bodies go "
      "out without one (the plugin should remove content-length, or hold the body until its end)",
      {{"route", info_.route}, {"request_id", info_.request_id}});
  if (side == Side::kRequest && !outgoing(Side::kResponse).head_sent) {
    respond(502, "request_length_changed",
            "a plugin changed the length of the request's body in passing",
            "request_length_changed");
  } else {
    break_off("response_length_changed", "LR");
  }
}

void Exchange::send_data(Side side, http::Buffer&& data, bool end) {
  const bool ended = std::exchange(outgoing(side).ended, outgoing(side).ended || end);
  if (side == Side::kRequest) {
    if (upstream_ == nullptr || ended) return;
    upstream_->send_data(std::move(data), end);
    if (!client_paused_ && client_ != nullptr && upstream_ != nullptr &&
        upstream_->above_watermark()) {
      client_paused_ = true;
      client_->pause_receiving();
    }
    return;
  }
  if (client_ == nullptr) return;
  info_.response_body_bytes += data.size();
  client_->send_data(std::move(data), end);
  if (!upstream_paused_ && upstream_ != nullptr && client_ != nullptr &&
      client_->above_watermark()) {
    upstream_paused_ = true;
    upstream_->pause_receiving();
  }
}

void Exchange::chain_trailers(Side side) {
  Outgoing& out = outgoing(side);
  if (finished_ || (side == Side::kRequest && replied_)) return;
  if (out.head_waits) release_head(side, false, true);
  if (out.promised) {
    if (out.emitted != out.announced) {
      promise_broken(side);
      return;
    }
    send_data(side, std::move(out.pending), false);
  }
  out.ended = true;
  const http::HeaderMap& trailers = chain_.trailers(side)->headers;
  if (side == Side::kRequest) {
    if (upstream_ != nullptr) upstream_->send_trailers(trailers);
  } else if (client_ != nullptr) {
    client_->send_trailers(trailers);
  }
}

// ---- back-pressure ----

void Exchange::chain_pause(Side side) {
  http::Sender* source = side == Side::kRequest ? client_ : upstream_;
  if (source != nullptr) source->pause_receiving();
}

void Exchange::chain_resume(Side side) {
  http::Sender* source = side == Side::kRequest ? client_ : upstream_;
  if (source != nullptr) source->resume_receiving();
}

void Exchange::on_writable() {
  if (std::exchange(upstream_paused_, false) && upstream_ != nullptr) upstream_->resume_receiving();
}

}  // namespace heddle::gateway
