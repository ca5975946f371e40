#include "contracts/json_rpc/http_fetch.h"

#include <boost/json/value.hpp>
#include <memory>
#include <utility>

#include "base/json_write.h"
#include "base/utf8.h"
#include "contracts/json_rpc/call_errors.h"
#include "contracts/json_rpc/method_params.h"
#include "services/crypto.h"

namespace heddle::json_rpc {
namespace {

namespace json = boost::json;

bool is_text(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

Result<services::OutboundRequest> read_request(const HostRequest& request) {
  Params params(request.params);
  services::OutboundRequest out;
  out.plugin = request.spec.name;
  out.url = params.text("url");
  out.method = params.text("method", "GET");
  out.body = params.text("body", "");
  const std::string base64 = params.text("body_base64", "");
  out.timeout = std::chrono::milliseconds(params.number("timeout_ms", 0, 0, 86'400'000));
  if (!params.ok()) return fail(ErrorKind::kInvalidArgument, params.problem());
  if (!base64.empty()) {
    auto bytes = services::from_base64(base64);
    if (!bytes) return fail(ErrorKind::kInvalidArgument, "body_base64 is not base64");
    out.body = std::move(*bytes);
  }
  const json::value* headers = params.value("headers");
  if (headers != nullptr && headers->is_object()) {
    for (const auto& [name, value] : headers->get_object()) {
      if (!value.is_string())
        return fail(ErrorKind::kInvalidArgument, "values of headers must be strings");
      out.headers.emplace_back(name, value.get_string());
    }
  } else if (headers != nullptr && !headers->is_null()) {
    return fail(ErrorKind::kInvalidArgument, "headers must be an object");
  }
  return out;
}

std::string response_json(const services::OutboundResponse& response) {
  json::object headers;
  for (const auto& [name, value] : response.headers) {
    auto [entry, fresh] = headers.emplace(name, value);
    if (!fresh) entry->value() = std::string(entry->value().get_string()) + ", " + value;
  }
  json::object out{{"status", response.status}, {"headers", std::move(headers)}};
  if (is_text(response.body)) {
    out["body"] = response.body;
  } else {
    out["body_base64"] = services::base64_of(response.body);
  }
  out["url"] = response.url;
  return write_json(out);
}

}  // namespace

HostMethods::Method http_fetch(services::OutboundHttp& http) {
  return [&http](const HostRequest& request, HostMethods::Reply reply) -> services::Pending {
    auto call = read_request(request);
    if (!call) return reply(failure(service_error(call.error()))), nullptr;
    call->permissions = std::make_shared<services::HttpPermissions>(
        services::HttpPermissions{request.spec.permitted_hosts, request.spec.private_networks});
    return http.call(
        request.worker, std::move(*call),
        [reply = std::move(reply)](Result<services::OutboundResponse> result) mutable {
          reply(result ? success(response_json(*result)) : failure(service_error(result.error())));
        });
  };
}

}  // namespace heddle::json_rpc
