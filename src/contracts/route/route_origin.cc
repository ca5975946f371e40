#include "contracts/route/route_origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "contracts/route/handler_input.h"
#include "contracts/route/handlers.h"
#include "contracts/route/manifest.h"
#include "contracts/route/worker_guests.h"
#include "net/worker.h"
#include "services/user_auth.h"

namespace heddle::route {
namespace {

// One exchange; deletes itself after its last event.
class RouteStream final : public http::Sender {
 public:
  RouteStream(Handlers& handlers, const ManifestRoute& route, net::Worker& worker,
              extension::ExchangeInfo& info, http::Receiver& response)
      : handlers_(handlers), route_(route), worker_(worker), info_(info), response_(response) {}

  void send_informational(const http::HeaderMap& /*headers*/) override {}
  void send_head(const http::HeaderMap& headers, bool end) override;
  void send_data(http::Buffer&& data, bool end) override;
  void send_trailers(const http::HeaderMap& /*trailers*/) override { request_ended(); }
  void reset(http::StreamError /*error*/) override { delete_later(); }
  void pause_receiving() override {}
  void resume_receiving() override {}
  bool above_watermark() const override { return false; }
  std::uint64_t bytes_sent() const override { return body_bytes_; }
  std::uint64_t bytes_received() const override { return sent_bytes_; }

 private:
  Runtime& runtime() { return handlers_.runtime(); }
  void request_ended();
  void authenticate();
  void refuse_user(const services::AuthOutcome& outcome);
  void run();
  void refuse(const Failure& failure);
  void answer(HandlerResponse response);
  void send(const HandlerResponse& response);
  void complete_if_done();
  void delete_later();

  Handlers& handlers_;
  const ManifestRoute& route_;
  net::Worker& worker_;
  extension::ExchangeInfo& info_;
  http::Receiver& response_;
  HandlerRequest request_;
  std::string authorization_;
  std::vector<std::pair<std::string, std::string>> refusal_headers_;
  services::Pending authentication_;
  WorkerGuests::Id job_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t sent_bytes_ = 0;
  bool head_request_ = false;
  bool answered_ = false;
  bool request_done_ = false;
  bool response_done_ = false;
  bool deleted_ = false;
};

void RouteStream::send_head(const http::HeaderMap& headers, bool end) {
  request_.headers.reserve(headers.size());
  for (const auto& [name, value] : headers) {
    if (name == ":method") {
      request_.method = value;
    } else if (name == ":path") {
      request_.target = value;
    } else if (name == ":authority") {
      request_.headers.emplace_back("host", value);
    } else if (name == "authorization") {
      authorization_ = value;
    }
    if (!name.starts_with(':') && name != "host") request_.headers.emplace_back(name, value);
  }
  head_request_ = request_.method == "HEAD";
  request_.request_id = info_.request_id;
  for (const auto& [name, value] : info_.route_parameters) {
    request_.params.emplace_back(std::string(name), value);
  }
  runtime().record().exchange();
  // An upgrade is declined: its body would begin only behind a 101.
  if (end || headers.contains("upgrade")) request_ended();
}

void RouteStream::send_data(http::Buffer&& data, bool end) {
  body_bytes_ += data.size();
  const std::size_t limit = runtime().spec().body_limit;
  if (body_bytes_ > limit) {
    request_.body = {};
    if (!answered_) {
      runtime().record().limit_hit("body_limit");
      refuse({.status = 413,
              .code = "body_too_large",
              .message = fmt::format("the body is larger than {} bytes", limit)});
    }
  } else if (!answered_) {
    for (const http::Slice& slice : data.slices()) request_.body += slice.view();
  }
  data.clear();
  if (end) request_ended();
}

void RouteStream::request_ended() {
  if (std::exchange(request_done_, true)) return;
  if (answered_) return complete_if_done();
  if (route_.auth) return authenticate();
  run();
}

void RouteStream::authenticate() {
  services::UserAuth* const auth = runtime().services().auth;
  if (auth == nullptr) {
    std::string message = "the route asks for a user, and no authentication is configured (auth)";
    runtime().record().line(LogLevel::kWarn, message, request_.request_id);
    return refuse({.status = 503, .code = "auth_unavailable", .message = std::move(message)});
  }
  authentication_ = auth->authenticate(
      worker_, authorization_, info_.connection == nullptr ? "" : info_.connection->remote_ip,
      [this](Result<services::AuthOutcome> outcome) {
        if (deleted_) return;
        if (!outcome) {
          return refuse_user({.status = 503, .reason = std::move(outcome.error().message)});
        }
        if (!outcome->accepted()) return refuse_user(*outcome);
        request_.user_json = std::move(outcome->user_json);
        request_.subject = std::move(outcome->subject);
        run();
      });
}

// Why is for the log alone: it would help whoever guesses.
void RouteStream::refuse_user(const services::AuthOutcome& outcome) {
  const bool unavailable = outcome.status == 503;
  runtime().record().line(unavailable ? LogLevel::kWarn : LogLevel::kInfo,
                          fmt::format("{} {}: {}", request_.method, route_.path, outcome.reason),
                          request_.request_id);
  if (!outcome.www_authenticate.empty()) {
    refusal_headers_.emplace_back("www-authenticate", outcome.www_authenticate);
  }
  if (outcome.status == 429) {
    refusal_headers_.emplace_back("retry-after", std::to_string(outcome.retry_after.count()));
    return refuse({.status = 429,
                   .code = "too_many_failures",
                   .message = "too many wrong passwords; try later"});
  }
  const bool unknown = outcome.status == 401;
  refuse({.status = outcome.status,
          .code = unknown ? "unauthorized" : "auth_unavailable",
          .message = unknown ? "a valid user is required" : "users cannot be verified now"});
}

void RouteStream::run() {
  auto input = handler_input(request_, runtime().spec().merge_body);
  if (!input) {
    return refuse({.status = 400, .code = "bad_request", .message = input.error().message});
  }
  request_.body = {};
  Job job;
  job.handler = route_.handler;
  job.input = std::move(*input);
  job.request_id = request_.request_id;
  job.timeout = route_.timeout.count() > 0 ? route_.timeout : runtime().spec().timeout;
  job_ = handlers_.guests(worker_).run(std::move(job), [this](Outcome<JobResult> result) {
    job_ = 0;
    if (deleted_) return;
    if (!result) return refuse(result.error());
    answer(std::move(std::get<HandlerResponse>(*result)));
  });
}

void RouteStream::refuse(const Failure& failure) {
  HandlerResponse out;
  out.status = failure.status;
  out.headers.emplace_back("content-type", "application/json");
  std::ranges::move(refusal_headers_, std::back_inserter(out.headers));
  out.body = failure_json(failure, request_.request_id);
  info_.response_code_details = failure.code;
  answer(std::move(out));
}

// Not from within the events of the request.
void RouteStream::answer(HandlerResponse response) {
  if (std::exchange(answered_, true)) return;
  worker_.defer([this, response = std::move(response)] {
    if (!deleted_) send(response);
  });
}

void RouteStream::send(const HandlerResponse& response) {
  http::HeadPtr head = http::make_head();
  head->headers.add(":status", std::to_string(response.status));
  for (const auto& [name, value] : response.headers) head->headers.add(name, value);
  const bool never = response.status == 204 || response.status == 304;
  const std::size_t length = response.status == 205 ? 0 : response.body.size();
  if (!never) head->headers.set("content-length", std::to_string(length));
  const bool bodiless = head_request_ || never || length == 0;
  sent_bytes_ = bodiless ? 0 : length;
  response_.on_head(std::move(head), bodiless);
  if (!deleted_ && !bodiless) {
    http::Buffer body;
    body.append(response.body);
    response_.on_data(body, true);
  }
  if (deleted_) return;
  response_done_ = true;
  complete_if_done();
}

void RouteStream::complete_if_done() {
  if (deleted_ || !response_done_ || !request_done_) return;
  response_.on_complete();
  delete_later();
}

void RouteStream::delete_later() {
  if (std::exchange(deleted_, true)) return;
  if (job_ != 0) handlers_.guests(worker_).cancel(job_);
  worker_.defer([owned = std::unique_ptr<RouteStream>(this)] {});
}

}  // namespace

http::Sender& RouteOrigin::start(net::Worker& worker, extension::ExchangeInfo& info,
                                 http::Receiver& response) {
  info.upstream_address = "plugin:" + handlers_.runtime().spec().name;
  // Owned by itself from here on: see RouteStream::delete_later.
  return *std::make_unique<RouteStream>(handlers_, route_, worker, info, response).release();
}

}  // namespace heddle::route
