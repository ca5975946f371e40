#include "cli/message_client.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <future>
#include <utility>

#include "base/json_write.h"
#include "net/tls.h"

namespace heddle::cli {
namespace {

namespace json = boost::json;

// A long poll may take as long as the server lets it.
constexpr std::chrono::minutes kTimeout{2};

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

Error error_of(const services::OutboundResponse& response, const json::object& body) {
  const json::value* error = body.if_contains("error");
  if (error == nullptr || !error->is_object()) {
    return {ErrorKind::kUnavailable,
            fmt::format("{}: status {} without an answer of the message service; is it enabled "
                        "there, and the path right?",
                        response.url, response.status)};
  }
  const json::object& said = error->as_object();
  std::string text =
      fmt::format("{} {}: {}", response.status, text_of(said, "code"), text_of(said, "message"));
  if (const std::string plugin = text_of(said, "plugin"); !plugin.empty()) {
    text += fmt::format(" (plugin {})", plugin);
  }
  const bool again = response.status >= 500 || response.status == 429;
  return {again ? ErrorKind::kUnavailable : ErrorKind::kInvalidArgument, std::move(text)};
}

}  // namespace

MessageClient::MessageClient(std::string server)
    : server_(std::move(server)),
      permissions_(std::make_shared<const services::HttpPermissions>(
          services::HttpPermissions{.hosts = {"*"}, .private_networks = {"0.0.0.0/0", "::/0"}})),
      worker_(0, *log_),
      blocking_(std::make_unique<net::BlockingPool>(1)) {
  while (server_.ends_with('/')) server_.pop_back();
}

Result<std::unique_ptr<MessageClient>> MessageClient::create(std::string server) {
  std::unique_ptr<MessageClient> out(new MessageClient(std::move(server)));
  auto tls = net::TlsClientContext::create({});
  if (!tls) return std::unexpected(std::move(tls.error()));
  services::OutboundOptions options;
  options.limits.timeout = kTimeout;
  options.limits.max_response_bytes = std::size_t{1} << 30U;
  options.limits.max_request_bytes = std::size_t{1} << 30U;
  options.tls = std::move(*tls);
  options.user_agent = "heddle/" HEDDLE_VERSION;
  out->http_ = services::make_outbound_http(std::move(options), *out->blocking_, out->metrics_);
  out->worker_.start();
  return out;
}

MessageClient::~MessageClient() {
  blocking_.reset();
  worker_.stop();
  worker_.join();
}

Result<services::OutboundResponse> MessageClient::exchange(services::OutboundRequest request) {
  std::promise<Result<services::OutboundResponse>> promise;
  services::Pending pending;  // made and dropped on the worker
  worker_.post([&] {
    pending = http_->call(worker_, std::move(request),
                          [&](auto response) { promise.set_value(std::move(response)); });
  });
  auto out = promise.get_future().get();
  std::promise<void> dropped;
  worker_.post([&] {
    pending.reset();
    dropped.set_value();
  });
  dropped.get_future().get();
  return out;
}

Result<json::object> MessageClient::call(std::string_view method, std::string_view path,
                                         const json::object* body) {
  services::OutboundRequest request{.plugin = "heddle message",
                                    .permissions = permissions_,
                                    .method = std::string(method),
                                    .url = fmt::format("{}{}", server_, path),
                                    .timeout = kTimeout};
  if (!token_.empty()) request.headers.emplace_back("authorization", "Bearer " + token_);
  if (body != nullptr) {
    request.headers.emplace_back("content-type", "application/json");
    request.body = write_json(*body);
  }
  auto response = exchange(std::move(request));
  if (!response) return std::unexpected(std::move(response.error()));
  boost::system::error_code failure;
  const json::value parsed = json::parse(response->body, failure);
  json::object object = !failure && parsed.is_object() ? parsed.as_object() : json::object();
  if (response->status < 200 || response->status > 299) {
    return std::unexpected(error_of(*response, object));
  }
  return object;
}

Result<void> MessageClient::log_in(const std::string& user, const std::string& password) {
  const json::object body{{"username", user}, {"password", password}};
  auto login = call("POST", "/v1/sessions", &body);
  if (!login) return std::unexpected(std::move(login.error()));
  token_ = text_of(*login, "token");
  return {};
}

}  // namespace heddle::cli
