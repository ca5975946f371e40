#include "gateway/forwarding.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "telemetry/trace_context.h"

namespace heddle::gateway {
namespace {

constexpr std::array<std::string_view, 6> kHopByHop = {
    "connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"};

}  // namespace

void strip_hop_by_hop(http::HeaderMap& headers, bool keep_upgrade) {
  if (std::ranges::none_of(kHopByHop,
                           [&](std::string_view name) { return headers.contains(name); })) {
    return;
  }
  std::string_view list = headers.get_joined("connection").value_or("");
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view name = http::trim(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    const bool switches = keep_upgrade && http::equals_ignoring_case(name, "upgrade");
    if (!name.empty() && name.front() != ':' && !switches) headers.remove(name);
  }
  // gRPC asks for it hop by hop; the HTTP/2 codec sends it on, the HTTP/1 codec does not.
  const bool trailers = headers.has_token("te", "trailers");
  for (const std::string_view name : kHopByHop) {
    if (!keep_upgrade || (name != "connection" && name != "upgrade")) headers.remove(name);
  }
  if (trailers) headers.add_view("te", "trailers");
  if (keep_upgrade) headers.set("connection", "upgrade");
}

void add_forwarded(http::HeaderMap& headers, const extension::ExchangeInfo& info) {
  const std::string_view ip = info.connection->remote_ip;
  if (const auto existing = headers.get_joined("x-forwarded-for"); existing && !existing->empty()) {
    const std::size_t size = existing->size() + 2 + ip.size();
    char* joined = headers.arena().allocate(size);
    existing->copy(joined, existing->size());
    joined[existing->size()] = ',';
    joined[existing->size() + 1] = ' ';
    ip.copy(joined + existing->size() + 2, ip.size());
    headers.set_view("x-forwarded-for", {joined, size});
  } else {
    headers.set_view("x-forwarded-for", ip);  // the connection outlives the exchange
  }
  if (!headers.contains("x-forwarded-host")) {
    if (const auto authority = headers.get(":authority")) {
      headers.add_view("x-forwarded-host", *authority);
    }
  }
}

void choose_request_id(const http::HeaderMap& headers, std::string& out) {
  if (const auto given = headers.get("x-request-id")) {
    bool valid = !given->empty() && given->size() <= 128;
    for (const char c : *given) valid = valid && c > 0x20 && c < 0x7F;
    if (valid) {
      out.assign(*given);
      return;
    }
  }
  const auto uuid = telemetry::random_uuid();
  out.assign(uuid.data(), uuid.size());
}

std::string error_body(std::string_view code, std::string_view message,
                       std::string_view request_id) {
  std::string out = R"({"error":{"code":)";
  append_json_string(out, code);
  out += R"(,"message":)";
  append_json_string(out, message);
  if (!request_id.empty()) {
    out += R"(,"request_id":)";
    append_json_string(out, request_id);
  }
  out += "}}\n";
  return out;
}

extension::LocalReply error_reply(int status, std::string_view code, std::string_view message,
                                  std::string_view request_id, std::string_view details) {
  extension::LocalReply reply;
  reply.status = status;
  reply.details = details;
  reply.headers.emplace_back("content-type", "application/json");
  reply.body = error_body(code, message, request_id);
  return reply;
}

}  // namespace heddle::gateway
