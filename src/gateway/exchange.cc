// The request's half of an exchange, and its beginning and end; the response's half is
// exchange_response.cc.
#include "gateway/exchange.h"

#include <algorithm>
#include <utility>

#include "gateway/forwarding.h"
#include "gateway/native_cors.h"
#include "http/grpc.h"
#include "telemetry/trace_context.h"

namespace heddle::gateway {

using extension::LocalReply;
using http::StreamError;

namespace {

// Whether a request line can be made of these: filters may have changed them, and what they wrote
// must not add to it.
bool well_formed(const http::HeaderMap& headers) {
  const auto method = headers.get(":method");
  const auto path = headers.get(":path");
  const auto authority = headers.get(":authority");
  if (!method || !http::is_token(*method) || !path || path->empty()) return false;
  const auto visible = [](std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
  };
  const bool form = path->front() == '/' || (*path == "*" && *method == "OPTIONS");
  return form && visible(*path) && (!authority || visible(*authority));
}

}  // namespace

void Exchange::Outgoing::reset() {
  head_waits = head_sent = ended = ended_at_head = promised = false;
  pending.clear();
  has_length = false;
  announced = arrived = emitted = 0;
}

Exchange::Exchange(GatewayWorker& gateway) : gateway_(gateway) {}

void Exchange::begin(std::uint64_t listener, http::Sender& client,
                     const http::ConnectionInfo& connection, http::HeadPtr head, bool end) {
  listener_ = listener;
  client_ = &client;
  bound_ = gateway_.current();
  connection_ = connection;
  info_.connection = &connection_;
  info_.start = worker().now();
  info_.start_wall = info_.start + gateway_.wall_offset();
  info_.protocol = head->protocol;
  request_ended_ = end;

  http::Head& request = *head;
  chain_.set_head(Side::kRequest, std::move(head));
  http::HeaderMap& headers = request.headers;
  method_ = headers.get(":method").value_or("");
  path_ = headers.get(":path").value_or("");
  authority_ = headers.get(":authority").value_or("");
  user_agent_ = headers.get("user-agent").value_or("");
  if (const auto parent = headers.get("traceparent");
      parent && telemetry::TraceParent::parse(*parent)) {
    trace_id_ = parent->substr(3, 32);
  }
  choose_request_id(headers, info_.request_id);
  strip_hop_by_hop(headers, request.upgrade);
  if (!headers.contains("x-forwarded-proto")) {
    headers.add_view("x-forwarded-proto", connection.tls ? "https" : "http");
  }
  headers.set_view("x-request-id", info_.request_id);
  start_request(request, end);
}

void Exchange::start_request(http::Head& head, bool end) {
  retain();
  route_ = &bound_->snapshot->unrouted();
  if (!refuse_bad_path(head.headers)) {
    choose_route(head.headers);
    arm_timer();
    if (!route_->unavailable.empty()) {
      respond(503, "plugin_unavailable", route_->unavailable, "plugin_unavailable");
    } else {
      chain_route_ = route_;
      chain_.begin(route_->chain);
      headers_version_ = head.headers.version();
      note_arrival(Side::kRequest, head.headers, end);
      chain_.headers(Side::kRequest, end);
    }
  }
  release();
}

bool Exchange::refuse_bad_path(const http::HeaderMap& headers) {
  const std::string_view target = headers.get(":path").value_or("");
  if (!has_dot_segments(split_target(target).first)) return false;
  respond(400, "bad_path", "the path has . or .. segments", "path_dot_segments");
  return true;
}

// Whether what filters did to the request headers matters for the route, and for the request line.
// Most add a header that no route asks for.
bool Exchange::may_route_anew(const http::HeaderMap& headers) const {
  if (reroute_) return true;
  if (headers.version() == headers_version_) return false;
  const bool same_line = headers.get(":method").value_or("") == method_ &&
                         headers.get(":path").value_or("") == path_ &&
                         headers.get(":authority").value_or("") == authority_;
  // A preflight's route depends on what it announces.
  return !same_line || method_ == "OPTIONS" || bound_->snapshot->router().reads_headers();
}

void Exchange::choose_route(http::HeaderMap& headers) {
  const Router& router = bound_->snapshot->router();
  RouteMatch match = router.match(headers);
  if (const auto method = announced_method(headers); !match.allow.empty() && !method.empty()) {
    // A preflight belongs to the route of the request that it announces.
    RouteMatch announced = router.match(headers, method);
    if (announced.route != RouteMatch::kNone &&
        bound_->snapshot->route(announced.route).route->cors.enabled) {
      match = std::move(announced);
    }
  }
  if (match.route == RouteMatch::kNone) {
    route_ = &bound_->snapshot->unrouted();
    allow_ = std::move(match.allow);
    info_.route = info_.route_upstream = {};
    info_.route_metadata = nullptr;
    info_.route_parameters.clear();
    return;
  }
  route_ = &bound_->snapshot->route(match.route);
  info_.route = route_->route->id;
  info_.route_upstream = route_->route->upstream;
  info_.route_metadata = &route_->route->metadata;
  if (route_->origin) {
    const std::string_view path = split_target(headers.get(":path").value_or("")).first;
    info_.route_parameters = decode_parameters(match, route_->route->path, path);
  }
  for (const auto& [name, value] : match.parameters) {
    std::string path = "path";
    path += '\0';
    path += name;
    chain_.properties()[std::move(path)].value = value;
  }
}

void Exchange::answer_unrouted() {
  if (allow_.empty()) {
    respond(404, "route_not_found", "no route matches this host and path", "route_not_found");
    return;
  }
  LocalReply reply = error_reply(405, "method_not_allowed", "this route takes " + allow_,
                                 info_.request_id, "method_not_allowed");
  reply.headers.emplace_back("allow", allow_);
  info_.response_flags = "NR";
  send_reply(std::move(reply));
}

void Exchange::respond(int status, std::string_view code, std::string_view message,
                       std::string_view details) {
  LocalReply reply = error_reply(status, code, message, info_.request_id, details);
  const http::Head* const request = chain_.head(Side::kRequest);
  // Its text becomes the message of the gRPC status, which people read.
  if (request != nullptr && http::is_grpc(request->headers)) reply.body = message;
  send_reply(std::move(reply));
}

// ---- what the client sends ----

void Exchange::on_informational(http::HeadPtr /*head*/) {}
void Exchange::on_head(http::HeadPtr /*head*/, bool /*end*/) {}

void Exchange::on_data(http::Buffer& data, bool end) {
  info_.request_body_bytes += data.size();
  active_since_timer_ = true;
  request_ended_ |= end;
  if (tunnel_) {
    if (upstream_ != nullptr && !closing_) send_data(Side::kRequest, std::move(data), end);
    return;
  }
  if (replied_ || finished_) return;
  outgoing(Side::kRequest).arrived += data.size();
  retain();
  if (end) timer_.rearm(worker().timers(), timeout());
  chain_.data(Side::kRequest, data, end);
  release();
}

void Exchange::on_trailers(http::HeadPtr trailers) {
  request_ended_ = true;
  active_since_timer_ = true;
  if (replied_ || finished_ || tunnel_) return;
  retain();
  chain_.trailers(Side::kRequest, std::move(trailers));
  release();
}

void Exchange::on_reset(StreamError error, std::string_view detail) {
  note_bytes();
  client_ = nullptr;
  if (finished_) return;
  retain();
  if (info_.response_code_details.empty() || !outgoing(Side::kResponse).ended ||
      error == StreamError::kTimeout) {
    // The connection has answered a client that was too slow with its body by itself.
    if (error == StreamError::kTimeout && !outgoing(Side::kResponse).head_sent)
      info_.response_code = 408;
    info_.response_code_details = "downstream_";
    info_.response_code_details += to_string(error);
    info_.response_flags = "DC";
    if (!detail.empty())
      gateway_.log().debug("client gone", {{"detail", detail}, {"request_id", info_.request_id}});
  }
  drop_origin(StreamError::kCancelled);
  finish();
  release();
}

void Exchange::on_complete() {
  note_bytes();
  client_ = nullptr;
  retain();
  drop_origin(StreamError::kCancelled);
  finish();
  release();
}

void Exchange::note_bytes() {
  if (client_ == nullptr || finished_) return;
  info_.response_total_bytes = client_->bytes_sent();
  info_.request_total_bytes = client_->bytes_received();
}

// ---- towards the origin ----

void Exchange::forward_request(bool end) {
  http::Head& head = *chain_.head(Side::kRequest);
  http::HeaderMap& headers = head.headers;
  const bool changed = may_route_anew(headers);
  if (changed && !(route_->route != nullptr && !route_->route->reroute)) {
    if (refuse_bad_path(headers)) return;
    choose_route(headers);
    if (!route_->unavailable.empty()) {
      respond(503, "plugin_unavailable", route_->unavailable, "plugin_unavailable");
      return;
    }
  }
  if (route_->route == nullptr) {
    answer_unrouted();
    return;
  }
  if (changed && !well_formed(headers)) {
    gateway_.log().error("a plugin made a request line that HTTP does not allow",
                         {{"route", info_.route}, {"request_id", info_.request_id}});
    respond(500, "plugin_bad_request", "a plugin made a request that HTTP does not allow",
            "plugin_bad_request");
    return;
  }
  apply_strip_prefix(headers);
  add_forwarded(headers, info_);
  info_.upstream = route_->route->upstream;
  origin_ = route_->origin ? route_->origin.get() : bound_->origins[route_->upstream].get();
  upstream_ = &origin_->start(worker(), info_, response_);
  route_->origin_metrics->active->add(1);
  if (!head_must_wait(Side::kRequest, headers, end)) send_head(Side::kRequest, end);
}

void Exchange::apply_strip_prefix(http::HeaderMap& headers) {
  const std::string& prefix = route_->route->strip_prefix;
  if (prefix.empty()) return;
  const std::string_view path = headers.get(":path").value_or("");
  if (!path.starts_with(prefix)) return;
  const std::string_view rest = path.substr(prefix.size());
  if (rest.starts_with('/')) {
    headers.set_view(":path", rest);
  } else if (rest.empty() || rest.front() == '?' || prefix.back() == '/') {
    headers.set(":path", "/" + std::string(rest));
  }
}

void Exchange::drop_origin(StreamError error) {
  if (upstream_ == nullptr) return;
  origin_->describe(*upstream_, info_);
  route_->origin_metrics->active->add(-1);
  std::exchange(upstream_, nullptr)->reset(error);
}

// ---- time and end ----

config::Milliseconds Exchange::timeout() const {
  return route_->route != nullptr ? route_->route->timeout : config::Route{}.timeout;
}

void Exchange::arm_timer() {
  timer_.arm(worker().timers(), timeout(), [this] {
    const net::Worker::Scope scope(worker());
    on_timeout();
  });
}

void Exchange::on_timeout() {
  if (finished_) return;
  const std::string* plugin = chain_.paused_by();
  // While the client takes what is there, or does not, send_timeout watches it.
  const bool waits_for_client = upstream_paused_ || outgoing(Side::kResponse).ended;
  const bool active = std::exchange(active_since_timer_, false) || waits_for_client;
  if (tunnel_ || (plugin == nullptr && active)) {
    arm_timer();
    return;
  }
  gateway_.metrics().timeouts->add();
  retain();
  if (plugin != nullptr) {
    gateway_.log().warn(
        "a plugin stopped the exchange and did not continue it before the route's timeout",
        {{"plugin", *plugin}, {"request_id", info_.request_id}, {"route", info_.route}});
  }
  info_.response_flags = "UT";
  if (plugin == nullptr) drop_origin(StreamError::kTimeout);
  if (outgoing(Side::kResponse).head_sent) {
    break_off(plugin != nullptr ? "plugin_timeout" : "upstream_timeout", "UT");
  } else if (plugin != nullptr) {
    respond(504, "plugin_timeout", plugin_text(*plugin, " did not continue the exchange in time"),
            "plugin_timeout");
  } else {
    respond(504, "upstream_timeout", "the upstream did not answer in time", "upstream_timeout");
  }
  release();
}

std::string_view Exchange::plugin_text(const std::string& plugin, std::string_view what) {
  return chain_.head(Side::kRequest)->arena.copy("plugin " + plugin + std::string(what));
}

// The answer cannot be completed: what the client has of it must not look whole.
void Exchange::break_off(std::string_view details, std::string_view flags) {
  info_.response_code_details = details;
  info_.response_flags = flags;
  drop_origin(StreamError::kCancelled);
  note_bytes();
  if (client_ != nullptr) std::exchange(client_, nullptr)->reset(StreamError::kCancelled);
  finish();
}

void Exchange::finish() {
  if (std::exchange(finished_, true)) return;
  timer_.cancel();
  outdated_timer_.cancel();
  chain_.stop();
  info_.end = monotonic_now();
  count();
  gateway_.ended(*this);
}

void Exchange::count() const {
  const int status = info_.response_code;
  const auto status_class =
      static_cast<std::size_t>(status >= 100 && status < 600 ? status / 100 : 0);
  route_->metrics.requests.at(status_class)->add();
  route_->metrics.duration->observe(static_cast<std::uint64_t>(info_.end - info_.start));
}

void Exchange::write_log(bool skip_filters) {
  if (!skip_filters) chain_.log();
  if (bound_->snapshot->config().logging.access_log) {
    telemetry::AccessRecord record;
    record.time = info_.start_wall;
    record.request_id = info_.request_id;
    record.method = method_;
    record.path = path_;
    record.authority = authority_;
    record.protocol = to_string(info_.protocol);
    record.status = info_.response_code;
    record.details = info_.response_code_details;
    record.flags = info_.response_flags;
    record.route = info_.route;
    record.upstream = info_.upstream;
    record.upstream_address = info_.upstream_address;
    record.bytes_in = info_.request_total_bytes;
    record.bytes_out = info_.response_total_bytes;
    record.duration = info_.end - info_.start;
    record.remote = info_.connection->remote_address;
    record.user_agent = user_agent_;
    record.trace_id = trace_id_;
    gateway_.access_log().write(record);
  }
  logged_ = true;
  chain_.clear();
  if (references_ == 0) gateway_.recycle(*this);
}

void Exchange::release() {
  if (--references_ == 0 && logged_) gateway_.recycle(*this);
}

void Exchange::reset() {
  bound_.reset();
  route_ = chain_route_ = nullptr;
  allow_.clear();
  origin_ = nullptr;
  kept_origin_.reset();
  client_ = upstream_ = nullptr;
  for (Outgoing& out : outgoing_) out.reset();
  method_ = path_ = authority_ = user_agent_ = trace_id_ = {};
  request_ended_ = reroute_ = replied_ = tunnel_ = active_since_timer_ = false;
  closing_ = upstream_paused_ = client_paused_ = finished_ = logged_ = false;
  // The strings keep their memory.
  info_.route = info_.route_upstream = info_.upstream = {};
  info_.route_metadata = nullptr;
  info_.route_parameters.clear();
  info_.upstream_address.clear();
  info_.upstream_local_address.clear();
  info_.upstream_tls = nullptr;
  info_.upstream_failure.clear();
  info_.upstream_attempts = 0;
  info_.upstream_retries_exhausted = false;
  info_.response_code = 0;
  info_.response_code_details.clear();
  info_.response_flags.clear();
  info_.request_body_bytes = info_.request_total_bytes = 0;
  info_.response_body_bytes = info_.response_total_bytes = 0;
  info_.end = 0;
}

}  // namespace heddle::gateway
