#include "messaging/api.h"

#include <algorithm>

#include "base/json_write.h"
#include "messaging/api_requests.h"
#include "messaging/json.h"
#include "messaging/openapi.h"
#include "messaging/page.h"
#include "services/crypto.h"

namespace heddle::messaging {
namespace {

constexpr std::string_view kBearer = "Bearer ";

ApiAnswer answer(int status, const boost::json::object& body) {
  return {.status = status, .body = write_json(body)};
}

boost::json::object describe(const Sent& sent) {
  return {{"id", sent.receipt.id}, {"seq", sent.receipt.seq}};
}

std::string token_of(const ApiRequest& request) {
  const std::string& value = request.authorization;
  if (value.size() <= kBearer.size()) return {};
  const bool bearer = std::ranges::equal(std::string_view(value).substr(0, kBearer.size()), kBearer,
                                         [](char a, char b) { return (a | 0x20) == (b | 0x20); });
  return bearer ? value.substr(kBearer.size()) : std::string();
}

}  // namespace

const std::vector<Api::Row>& Api::rows() {
  static const std::vector<Row> kRows = {
      {"POST", "/v1/accounts", &Api::create_account},
      {"POST", "/v1/sessions", &Api::log_in},
      {"DELETE", "/v1/sessions/current", &Api::log_out},
      {"POST", "/v1/channels", &Api::open_channel},
      {"POST", "/v1/messages", &Api::send},
      {"POST", "/v1/messages/batch", &Api::send_batch},
      {"GET", "/v1/messages", &Api::fetch},
      {"GET", "/v1/messages/peek", &Api::peek},
      {"POST", "/v1/messages/ack", &Api::acknowledge},
      {"GET", "/v1/openapi.json", &Api::show_document},
      {"GET", kPagePath, &Api::show_page},
  };
  return kRows;
}

ApiAnswer Api::answer_of(const Refusal& refusal) {
  ApiAnswer out = answer(refusal.status, messaging::describe(refusal));
  if (refusal.status == 401) out.headers.emplace_back("www-authenticate", "Bearer");
  if (refusal.retry_after > 0) {
    out.headers.emplace_back("retry-after", std::to_string(refusal.retry_after));
  }
  return out;
}

Task<ApiAnswer> Api::handle(net::Worker& worker, Request request) {
  std::string allow;
  for (const Row& row : rows()) {
    if (row.path != request->path) continue;
    if (row.method != request->method) {
      allow += (allow.empty() ? "" : ", ") + std::string(row.method);
      continue;
    }
    auto done = co_await (this->*row.handler)(worker, request);
    co_return done ? std::move(*done) : answer_of(done.error());
  }
  if (request->path == kStreamPath) {
    ApiAnswer out = answer_of({.status = 426,
                               .code = "upgrade_required",
                               .message = "this path is a WebSocket (RFC 6455)"});
    out.headers.emplace_back("upgrade", "websocket");
    co_return out;
  }
  if (allow.empty()) {
    co_return answer_of({.status = 404, .code = "not_found", .message = "there is no such path"});
  }
  ApiAnswer out = answer_of(
      {.status = 405, .code = "method_not_allowed", .message = "this path takes " + allow});
  out.headers.emplace_back("allow", allow);
  co_return out;
}

Task<Outcome<Account>> Api::caller(net::Worker& worker, const Request& request) {
  return service_.authenticate(worker, token_of(*request));
}

Api::Answered Api::create_account(net::Worker& worker, Request request) {
  auto body = parse_object(request->body);
  if (!body) co_return std::unexpected(std::move(body.error()));
  auto username = text_member(*body, "username");
  if (!username) co_return std::unexpected(std::move(username.error()));
  auto password = text_member(*body, "password");
  if (!password) co_return std::unexpected(std::move(password.error()));
  auto key = key_member(*body, "identity_key");
  if (!key) co_return std::unexpected(std::move(key.error()));
  auto made = co_await service_.register_account(worker, std::move(*username), std::move(*password),
                                                 std::move(*key), request->address);
  if (!made) co_return std::unexpected(std::move(made.error()));
  co_return answer(201, {{"id", made->id},
                         {"username", made->username},
                         {"identity_key", services::base64_of(made->identity_key)}});
}

Api::Answered Api::log_in(net::Worker& worker, Request request) {
  auto body = parse_object(request->body);
  if (!body) co_return std::unexpected(std::move(body.error()));
  auto username = text_member(*body, "username");
  if (!username) co_return std::unexpected(std::move(username.error()));
  auto password = text_member(*body, "password");
  if (!password) co_return std::unexpected(std::move(password.error()));
  auto login = co_await service_.log_in(worker, std::move(*username), std::move(*password),
                                        request->address);
  if (!login) co_return std::unexpected(std::move(login.error()));
  co_return answer(200, {{"token", login->token}, {"expires_at", time_text(login->expires_at)}});
}

Api::Answered Api::log_out(net::Worker& worker, Request request) {
  auto who = co_await caller(worker, request);
  if (!who) co_return std::unexpected(std::move(who.error()));
  auto done = co_await service_.log_out(worker, std::move(*who), token_of(*request));
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return ApiAnswer{.status = 204};
}

Api::Answered Api::open_channel(net::Worker& worker, Request request) {
  auto who = co_await caller(worker, request);
  if (!who) co_return std::unexpected(std::move(who.error()));
  auto body = parse_object(request->body);
  if (!body) co_return std::unexpected(std::move(body.error()));
  auto peer = key_member(*body, "peer_key");
  if (!peer) co_return std::unexpected(std::move(peer.error()));
  auto opened = co_await service_.open_channel(worker, std::move(*who), std::move(*peer));
  if (!opened) co_return std::unexpected(std::move(opened.error()));
  co_return answer(opened->was_new ? 201 : 200, {{"id", services::hex_of(opened->channel.id)},
                                                 {"session_id", opened->channel.number},
                                                 {"was_new", opened->was_new}});
}

Api::Answered Api::send(net::Worker& worker, Request request) {
  auto who = co_await caller(worker, request);
  if (!who) co_return std::unexpected(std::move(who.error()));
  auto body = parse_object(request->body);
  if (!body) co_return std::unexpected(std::move(body.error()));
  auto message = parse_message(*body);
  if (!message) co_return std::unexpected(std::move(message.error()));
  auto sent = co_await service_.send(worker, std::move(*who), std::move(*message));
  if (!sent) co_return std::unexpected(std::move(sent.error()));
  ApiAnswer out = answer(201, describe(*sent));
  out.sent.push_back(std::move(*sent));
  co_return out;
}

Api::Answered Api::send_batch(net::Worker& worker, Request request) {
  auto who = co_await caller(worker, request);
  if (!who) co_return std::unexpected(std::move(who.error()));
  auto body = parse_object(request->body);
  if (!body) co_return std::unexpected(std::move(body.error()));
  auto messages = parse_batch(*body, service_.settings().max_batch);
  if (!messages) co_return std::unexpected(std::move(messages.error()));
  std::vector<SendRequest> good;
  for (auto& message : *messages) {
    if (message) good.push_back(std::move(*message));
  }
  auto sent = co_await service_.send_batch(worker, std::move(*who), std::move(good));
  // The answers stand in the order of the request, with what could not be read among them.
  boost::json::array results;
  ApiAnswer out;
  auto next = sent.begin();
  for (const auto& message : *messages) {
    if (!message) {
      results.push_back(messaging::describe(message.error()));
      continue;
    }
    if (*next) {
      results.push_back(describe(**next));
      out.sent.push_back(std::move(**next));
    } else {
      results.push_back(messaging::describe(next->error()));
    }
    ++next;
  }
  out.body = write_json(boost::json::object{{"results", std::move(results)}});
  co_return out;
}

Api::Answered Api::fetch(net::Worker& worker, Request request) {
  auto who = co_await caller(worker, request);
  if (!who) co_return std::unexpected(std::move(who.error()));
  auto fetch = parse_fetch(request->query, service_.settings());
  if (!fetch) co_return std::unexpected(std::move(fetch.error()));
  auto found = co_await service_.fetch(worker, std::move(*who), std::move(*fetch), request->bell);
  if (!found) co_return std::unexpected(std::move(found.error()));
  boost::json::array messages;
  for (const StoredMessage& message : *found) messages.push_back(messaging::describe(message));
  co_return answer(200, {{"messages", std::move(messages)}});
}

Api::Answered Api::peek(net::Worker& worker, Request request) {
  auto who = co_await caller(worker, request);
  if (!who) co_return std::unexpected(std::move(who.error()));
  auto found = co_await service_.peek(worker, std::move(*who));
  if (!found) co_return std::unexpected(std::move(found.error()));
  co_return answer(
      200,
      {{"count", found->count}, {"first_seq", found->first_seq}, {"last_seq", found->last_seq}});
}

Api::Answered Api::show_document(net::Worker& /*worker*/, Request /*request*/) {
  co_return ApiAnswer{.body = openapi_document()};
}

Api::Answered Api::show_page(net::Worker& /*worker*/, Request /*request*/) {
  ApiAnswer out{.body = std::string(kPage), .content_type = "text/html; charset=utf-8"};
  out.headers.emplace_back("content-security-policy", page_policy());
  out.headers.emplace_back("x-content-type-options", "nosniff");
  out.headers.emplace_back("referrer-policy", "no-referrer");
  co_return out;
}

Api::Answered Api::acknowledge(net::Worker& worker, Request request) {
  auto who = co_await caller(worker, request);
  if (!who) co_return std::unexpected(std::move(who.error()));
  auto body = parse_object(request->body);
  if (!body) co_return std::unexpected(std::move(body.error()));
  auto up_to = parse_up_to(*body);
  if (!up_to) co_return std::unexpected(std::move(up_to.error()));
  auto dropped = co_await service_.acknowledge(worker, std::move(*who), *up_to);
  if (!dropped) co_return std::unexpected(std::move(dropped.error()));
  co_return answer(200, {{"acknowledged", *dropped}});
}

}  // namespace heddle::messaging
