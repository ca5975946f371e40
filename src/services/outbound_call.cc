#include "services/outbound_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "net/blocking_pool.h"
#include "services/outbound_rules.h"

namespace heddle::services {
namespace {

constexpr Nanoseconds kNameTtl = 5'000'000'000;
constexpr std::size_t kMaxNames = 1'024;

// The connection's own, and those that the call writes itself.
constexpr auto kDropped = std::to_array<std::string_view>(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
     "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"});
// Not for another origin than the one they were meant for.
constexpr auto kCredentials =
    std::to_array<std::string_view>({"authorization", "cookie", "proxy-authorization"});

bool is_one_of(const auto& names, std::string_view name) {
  return std::ranges::any_of(
      names, [name](std::string_view each) { return http::equals_ignoring_case(each, name); });
}

bool has_body_by_nature(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

Error error_of(http::StreamError error, std::string_view detail, const OutboundUrl& url) {
  const ErrorKind kind =
      error == http::StreamError::kTooLarge ? ErrorKind::kLimit
      : error == http::StreamError::kTimeout || error == http::StreamError::kConnectTimeout
          ? ErrorKind::kTimeout
          : ErrorKind::kUnavailable;
  return {kind, fmt::format("{}: {}{}{}", url.authority(), http::to_string(error),
                            detail.empty() ? "" : ": ", detail)};
}

}  // namespace

OutboundCall::OutboundCall(OutboundWorker& shared, OutboundRequest request,
                           std::shared_ptr<Completion<OutboundResponse>> completion)
    : shared_(shared), request_(std::move(request)), completion_(std::move(completion)) {
  ++shared_.calls;
}

OutboundCall::~OutboundCall() = default;

void OutboundCall::start() {
  auto timeout = shared_.options.limits.timeout;
  if (request_.timeout.count() > 0) timeout = std::min(timeout, request_.timeout);
  timer_.arm(shared_.worker.timers(), timeout, [this, timeout] {
    finish(fail(ErrorKind::kTimeout, fmt::format("{}: no complete answer within {} ms",
                                                 url_.authority(), timeout.count())));
  });
  if (auto good = check_request(); !good) return finish(std::unexpected(std::move(good.error())));
  go_to(parse_outbound_url(request_.url));
}

Result<void> OutboundCall::check_request() {
  const OutboundLimits& limits = shared_.options.limits;
  if (shared_.calls > limits.max_calls) {
    return fail(
        ErrorKind::kLimit,
        fmt::format("{} requests are under way (outbound_http.max_calls)", limits.max_calls));
  }
  if (request_.body.size() > limits.max_request_bytes) {
    return fail(ErrorKind::kLimit,
                fmt::format("the body is larger than {} bytes (outbound_http.max_request)",
                            limits.max_request_bytes));
  }
  std::string& method = request_.method;
  std::ranges::transform(method, method.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  if (!http::is_token(method) || method == "CONNECT" || method == "TRACE") {
    return fail(ErrorKind::kInvalidArgument, "method " + method + " is not offered");
  }
  for (const auto& [name, value] : request_.headers) {
    if (!http::is_token(name) || !http::is_field_value(value)) {
      return fail(ErrorKind::kInvalidArgument,
                  "header \"" + name.substr(0, 100) + "\" has a name or value that HTTP forbids");
    }
  }
  std::erase_if(request_.headers, [](const auto& h) { return is_one_of(kDropped, h.first); });
  return {};
}

void OutboundCall::go_to(Result<OutboundUrl> url) {
  if (!url) return finish(std::unexpected(std::move(url.error())));
  if (redirects_ > 0 && !url->same_origin(url_)) {
    std::erase_if(request_.headers, [](const auto& h) { return is_one_of(kCredentials, h.first); });
  }
  url_ = std::move(*url);
  if (!request_.permissions || !is_permitted_host(*request_.permissions, url_)) {
    return finish(
        fail(ErrorKind::kPermission, fmt::format("{}:{} is not a host that the plugin may call "
                                                 "(permissions.http)",
                                                 url_.host, url_.port)));
  }
  if (url_.tls && !shared_.options.tls) {
    return finish(fail(ErrorKind::kUnavailable, "https is not set up (outbound_http.ca_file)"));
  }
  resolve();
}

void OutboundCall::resolve() {
  if (const auto numeric = net::SocketAddress::numeric(url_.host, url_.port)) {
    return on_resolved(net::Resolver::Addresses{*numeric});
  }
  const auto known = shared_.names.find(url_.host);
  if (known != shared_.names.end() && monotonic_now() < known->second.expires) {
    return on_resolved(net::Resolver::Addresses(known->second.addresses));
  }
  auto completion = Completion<net::Resolver::Addresses>::create(
      shared_.worker, [this, host = url_.host](const Result<net::Resolver::Addresses>& found) {
        if (shared_.names.size() >= kMaxNames) shared_.names.clear();
        if (found) {
          shared_.names[host] = {.addresses = *found, .expires = monotonic_now() + kNameTtl};
        }
        on_resolved(found);
      });
  resolving_ = completion->handle();
  shared_.blocking.submit([completion, lookup = shared_.lookup, host = url_.host] {
    if (!completion->cancelled()) completion->finish(lookup(host));
  });
}

void OutboundCall::on_resolved(const Result<net::Resolver::Addresses>& addresses) {
  if (!addresses) return finish(std::unexpected(addresses.error()));
  addresses_.clear();
  for (net::SocketAddress address : *addresses) {
    address.set_port(url_.port);
    if (is_permitted_address(*request_.permissions, url_, address)) addresses_.push_back(address);
  }
  if (!addresses_.empty()) return connect_next();
  finish(
      fail(ErrorKind::kPermission,
           fmt::format("{} leads to a private or reserved address, which the plugin may not call "
                       "(permissions.private_networks)",
                       url_.host)));
}

// The address that was checked is what is connected to; the name is only for TLS and the head.
void OutboundCall::connect_next() {
  const net::SocketAddress address = addresses_.front();
  addresses_.pop_front();
  http::ClientTarget target{.endpoint = address.to_string()};
  if (url_.tls) {
    target.protocol = http::ClientProtocol::kAuto;
    target.tls = shared_.options.tls;
    target.server_name = url_.host;
  }
  http::ClientLimits limits;
  limits.max_idle = 8;
  head_.reset();
  body_.clear();
  stream_ = &shared_.pool->open(target, limits, *this);
  send(*stream_);
}

void OutboundCall::send(http::ClientStream& stream) {
  Arena arena;
  http::HeaderMap headers(arena);
  headers.add(":method", request_.method);
  headers.add(":scheme", url_.tls ? "https" : "http");
  headers.add(":authority", url_.authority());
  headers.add(":path", url_.target);
  for (const auto& [name, value] : request_.headers) headers.add(name, value);
  if (!headers.contains("user-agent")) headers.add("user-agent", shared_.options.user_agent);
  const bool body = !request_.body.empty();
  if (body || has_body_by_nature(request_.method)) {
    headers.add("content-length", std::to_string(request_.body.size()));
  }
  stream.send_head(headers, !body);
  if (!body) return;
  http::Buffer bytes;
  bytes.append(request_.body);
  stream.send_data(std::move(bytes), true);
}

void OutboundCall::on_head(http::HeadPtr head, bool /*end*/) {
  head_ = std::move(head);
}

void OutboundCall::on_data(http::Buffer& data, bool /*end*/) {
  const std::size_t limit = shared_.options.limits.max_response_bytes;
  if (body_.size() + data.size() > limit) {
    return finish(fail(ErrorKind::kLimit, fmt::format("{}: the answer is larger than {} bytes "
                                                      "(outbound_http.max_response)",
                                                      url_.authority(), limit)));
  }
  for (const http::Slice& slice : data.slices()) body_.append(slice.view());
}

void OutboundCall::on_reset(http::StreamError error, std::string_view detail) {
  stream_ = nullptr;
  const bool unreached =
      error == http::StreamError::kRefused || error == http::StreamError::kConnectTimeout;
  if (unreached && !addresses_.empty()) return connect_next();
  finish(std::unexpected(error_of(error, detail, url_)));
}

void OutboundCall::on_complete() {
  stream_ = nullptr;
  if (!head_) return finish(fail(ErrorKind::kUnavailable, url_.authority() + ": no answer"));
  if (redirect()) return;
  OutboundResponse response{
      .status = head_->status(), .headers = {}, .body = std::move(body_), .url = url_.to_string()};
  for (const auto& [name, value] : head_->headers) {
    if (!name.starts_with(':')) response.headers.emplace_back(name, value);
  }
  finish(std::move(response));
}

// True: the answer sent the call elsewhere, or into an error.
bool OutboundCall::redirect() {
  const int status = head_->status();
  const bool again = status == 307 || status == 308;
  if (!again && status != 301 && status != 302 && status != 303) return false;
  const auto location = head_->headers.get("location");
  if (!location) return false;
  if (++redirects_ > shared_.options.limits.max_redirects) {
    finish(
        fail(ErrorKind::kLimit, fmt::format("more than {} redirects (outbound_http.max_redirects)",
                                            shared_.options.limits.max_redirects)));
    return true;
  }
  // RFC 9110 section 15.4, and what every browser does of a POST.
  if (!again && request_.method != "HEAD" && (status == 303 || request_.method == "POST")) {
    request_.method = "GET";
    request_.body.clear();
    std::erase_if(request_.headers, [](const auto& header) {
      return http::equals_ignoring_case(header.first, "content-type") ||
             http::equals_ignoring_case(header.first, "content-encoding");
    });
  }
  go_to(resolve_location(url_, *location));
  return true;
}

void OutboundCall::cancel() {
  if (std::exchange(over_, true)) return;
  --shared_.calls;
  timer_.cancel();
  resolving_.reset();
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->reset(http::StreamError::kCancelled);
}

void OutboundCall::finish(Result<OutboundResponse> result) {
  if (over_) return;
  completion_->finish(std::move(result));
  // The caller's handle may be all that holds this; it goes with an event of its own.
  cancel();
}

}  // namespace heddle::services
