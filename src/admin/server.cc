#include "admin/server.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>
#include <vector>

#include "admin/event_stream.h"
#include "http/buffer.h"
#include "http/message.h"
#include "http/websocket.h"

namespace heddle::admin {
namespace {

// An answer takes no longer to send than this without progress; a client that stops reading must
// not hold memory.
constexpr std::size_t kMaxConnections = 256;  // each may hold a body of kMaxBody

std::string header(const http::Head& head, std::string_view name) {
  return std::string(head.headers.get(name).value_or(""));
}

Request to_request(const http::ConnectionInfo& connection, const http::Head& head) {
  Request out;
  out.method = head.method();
  out.target = head.path();
  out.host = head.authority();
  if (out.host.empty()) out.host = header(head, "host");
  out.origin = header(head, "origin");
  out.fetch_site = header(head, "sec-fetch-site");
  out.authorization = header(head, "authorization");
  out.remote_ip = connection.remote_ip;
  out.websocket = head.upgrade && head.headers.has_token("upgrade", "websocket");
  return out;
}

// The answer to a request for a WebSocket, which the codec puts into the words of its protocol.
http::HeadPtr switching_protocols(const http::Head& request) {
  http::HeadPtr out = http::make_head();
  out->headers.add(":status", "101");
  http::make_switching_protocols(*out, request.headers);
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
  }
  return out + '"';
}

}  // namespace

// One request and its answer. Codec events only note what came; what follows from it runs deferred,
// when no event of this exchange is on the stack, so that an answer may end the exchange at any
// point.
class AdminServer::Exchange final : public http::Receiver {
 public:
  // `switching`: the 101 of a request for a WebSocket, whose head does not stay.
  Exchange(AdminServer& server, std::uint64_t id, http::Sender& sender, Request request,
           bool complete, http::HeadPtr switching)
      : server_(server),
        id_(id),
        sender_(sender),
        request_(std::move(request)),
        complete_(complete),
        switching_(std::move(switching)) {}

  void on_informational(http::HeadPtr) override {}
  void on_head(http::HeadPtr, bool) override {}
  void on_trailers(http::HeadPtr) override { finish(); }
  void on_writable() override {
    if (events_) events_->on_writable();
  }
  void on_complete() override { server_.forget(id_); }
  void on_reset(http::StreamError, std::string_view) override { server_.forget(id_); }

  void on_data(http::Buffer& data, bool end) override {
    if (events_) {
      events_->on_bytes(data.to_string());
      if (end) events_->on_end();
      return;
    }
    if (answered_) return;  // the rest of a body that nobody wants
    if (request_.body.size() + data.size() > kMaxBody) {
      answered_ = true;
      server_.answer_later(id_, error_response(413, "body_too_large",
                                               fmt::format("a body may have {} bytes", kMaxBody)));
      return;
    }
    for (const http::Slice& slice : data.slices()) request_.body.append(slice.view());
    if (end) finish();
  }

  std::uint64_t id() const { return id_; }
  Request& request() { return request_; }
  bool answered() const { return answered_; }
  void allow(std::string user) {
    allowed_ = true;
    request_.user = std::move(user);
  }
  bool ready() const { return complete_ && allowed_ && !answered_ && !dispatched_; }
  void set_dispatched() { dispatched_ = true; }
  EventStream* events() { return events_.get(); }

  // A WebSocket in place of an answer.
  void watch(services::EventBus* events) {
    answered_ = true;
    sender_.send_head(switching_->headers, false);
    const std::string_view target = request_.target;
    events_ = std::make_unique<EventStream>(
        server_.dependencies_.worker, events, sender_,
        target.substr(std::min(target.find('?'), target.size() - 1) + 1),
        [this] { server_.forget_later(id_); });
  }

  void send(const Response& response) {
    answered_ = true;
    const bool bodiless = request_.method == "HEAD" || response.body.empty();
    const http::HeadPtr head = http::make_head();
    http::HeaderMap& headers = head->headers;
    headers.add(":status", std::to_string(response.status));
    headers.add("content-type", response.content_type);
    headers.add("content-length", std::to_string(response.body.size()));
    headers.add("cache-control", "no-store");
    headers.add("x-content-type-options", "nosniff");
    for (const auto& [name, value] : response.headers) headers.add(name, value);
    http::Sender& sender = sender_;  // this may be gone when the last byte is sent
    sender.send_head(headers, bodiless);
    if (bodiless) return;
    http::Buffer body;
    body.append(response.body);
    sender.send_data(std::move(body), true);
  }

 private:
  void finish() {
    complete_ = true;
    server_.dispatch_later(id_);
  }

  AdminServer& server_;
  std::uint64_t id_;
  http::Sender& sender_;
  Request request_;
  bool complete_;
  http::HeadPtr switching_;
  std::unique_ptr<EventStream> events_;
  bool allowed_ = false;
  bool dispatched_ = false;
  bool answered_ = false;
};

struct AdminServer::Access {
  config::Admin config;
  Guard guard;
  std::shared_ptr<Authenticator> authenticator;  // null: no authentication
};

Result<std::unique_ptr<AdminServer>> AdminServer::create(const config::Admin& config,
                                                         const std::string& address, Api& api,
                                                         ServerDependencies dependencies) {
  std::unique_ptr<AdminServer> out(new AdminServer(address, api, std::move(dependencies)));
  auto access = out->make_access(config);
  if (!access) return std::unexpected(std::move(access.error()));
  out->set_access(std::move(*access));
  return out;
}

AdminServer::AdminServer(std::string address, Api& api, ServerDependencies dependencies)
    : address_(std::move(address)), api_(api), dependencies_(std::move(dependencies)) {}

Result<std::shared_ptr<const AdminServer::Access>> AdminServer::make_access(
    const config::Admin& config) {
  auto out = std::make_shared<Access>(config, Guard(address_, config.allowed_hosts), nullptr);
  if (config.auth_enabled) {
    if (last_made_ && last_made_->authenticator && last_made_->config.users == config.users) {
      out->authenticator = last_made_->authenticator;
    } else {
      auto made = Authenticator::create(config.users);
      if (!made) return std::unexpected(std::move(made.error()));
      out->authenticator = std::move(*made);
    }
  }
  last_made_ = std::move(out);
  return last_made_;
}

void AdminServer::set_access(std::shared_ptr<const Access> access) {
  access_ = std::move(access);
}

// Connections that are still open tell their exchanges, so these go after them.
AdminServer::~AdminServer() {
  abort();
}

Result<void> AdminServer::listen() {
  http::ServerLimits limits;
  limits.max_connections = kMaxConnections;
  limits.max_body_bytes = kMaxBody;
  auto listener =
      http::Listener::create(dependencies_.worker, address_, limits, *this, dependencies_.metrics);
  if (!listener) return std::unexpected(std::move(listener.error()));
  listener_ = std::move(*listener);
  return {};
}

std::uint16_t AdminServer::local_port() const {
  return listener_ ? listener_->local_port() : 0;
}

void AdminServer::drain() {
  if (!listener_) return;
  for_streams([](EventStream& stream) { stream.close(1001); });
  listener_->stop_accepting();
  listener_->drain();
}

void AdminServer::abort() {
  if (listener_) listener_->abort();
  listener_.reset();
}

http::Receiver* AdminServer::on_request(http::Sender& sender,
                                        const http::ConnectionInfo& connection, http::HeadPtr head,
                                        bool end) {
  const std::uint64_t id = next_id_++;
  // Nothing follows the head of an upgrade until it is answered.
  auto exchange = std::make_unique<Exchange>(
      *this, id, sender, to_request(connection, *head), end || head->upgrade,
      head->upgrade ? switching_protocols(*head) : http::HeadPtr());
  http::Receiver* receiver = exchange.get();
  exchanges_.emplace(id, std::move(exchange));
  dependencies_.worker.defer([this, id] {
    if (Exchange* found = find(id)) admit(*found);
  });
  return receiver;
}

std::string AdminServer::on_bad_request(const http::ConnectionInfo&, int, std::string_view reason) {
  return error_response(400, "bad_request", reason).body;
}

void AdminServer::admit(Exchange& exchange) {
  if (exchange.answered()) return;
  const Request& request = exchange.request();
  if (auto refusal = access_->guard.check(request)) return exchange.send(*refusal);
  const auto& authenticator = access_->authenticator;
  if (!authenticator || Api::is_public(request.target)) {
    exchange.allow({});
    return dispatch(exchange);
  }
  const Nanoseconds now = monotonic_now();
  if (const auto decision = authenticator->check(request.authorization, request.remote_ip, now)) {
    return decided(exchange.id(), *decision);
  }
  dependencies_.run_blocking([on_worker = on_worker(), id = exchange.id(), now, authenticator,
                              authorization = request.authorization,
                              remote_ip = request.remote_ip] {
    auto decision = authenticator->verify(authorization, remote_ip, now);
    on_worker([id, decision = std::move(decision)](AdminServer& server) {
      server.decided(id, decision);
    });
  });
}

void AdminServer::decided(std::uint64_t id, const Authenticator::Decision& decision) {
  Exchange* exchange = find(id);
  if (exchange == nullptr || exchange->answered()) return;
  switch (decision.verdict) {
    case Authenticator::Verdict::kAllowed:
      exchange->allow(decision.user);
      return dispatch(*exchange);
    case Authenticator::Verdict::kRefused: {
      Response refusal = error_response(401, "unauthorized", "user and password are needed");
      refusal.headers.emplace_back(
          "www-authenticate",
          fmt::format("Basic realm={}, charset=\"UTF-8\"", quoted(access_->config.realm)));
      return exchange->send(refusal);
    }
    case Authenticator::Verdict::kLocked: {
      Response refusal =
          error_response(429, "too_many_failures", "too many wrong passwords; try later");
      refusal.headers.emplace_back("retry-after", std::to_string(decision.retry_after.count()));
      return exchange->send(refusal);
    }
  }
}

void AdminServer::dispatch(Exchange& exchange) {
  if (!exchange.ready()) return;  // the body is still on its way
  exchange.set_dispatched();
  if (exchange.request().websocket && Api::is_events(exchange.request())) {
    return exchange.watch(dependencies_.events);
  }
  api_.handle(exchange.request(), [on_worker = on_worker(), id = exchange.id()](Response response) {
    on_worker(
        [id, response = std::move(response)](AdminServer& server) { server.answer(id, response); });
  });
}

AdminServer::OnWorker AdminServer::on_worker() {
  return [&worker = dependencies_.worker, self = std::weak_ptr(self_)](auto task) {
    worker.post([self, task = std::move(task)]() mutable {
      if (const auto server = self.lock()) task(**server);
    });
  };
}

void AdminServer::dispatch_later(std::uint64_t id) {
  dependencies_.worker.defer([this, id] {
    if (Exchange* found = find(id)) dispatch(*found);
  });
}

void AdminServer::answer_later(std::uint64_t id, Response response) {
  dependencies_.worker.defer([this, id, response = std::move(response)] { answer(id, response); });
}

void AdminServer::answer(std::uint64_t id, const Response& response) {
  if (Exchange* exchange = find(id)) exchange->send(response);
}

AdminServer::Exchange* AdminServer::find(std::uint64_t id) {
  const auto it = exchanges_.find(id);
  return it == exchanges_.end() ? nullptr : it->second.get();
}

void AdminServer::forget(std::uint64_t id) {
  exchanges_.erase(id);
}

void AdminServer::forget_later(std::uint64_t id) {
  dependencies_.worker.defer([this, id] { forget(id); });
}

void AdminServer::tell(const plugins::Event& event) {
  for_streams([&event](EventStream& stream) { stream.tell(event); });
}

// One may end meanwhile.
void AdminServer::for_streams(const std::function<void(EventStream&)>& visit) {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, exchange] : exchanges_) {
    if (exchange->events() != nullptr) ids.push_back(id);
  }
  for (const std::uint64_t id : ids) {
    if (Exchange* exchange = find(id)) visit(*exchange->events());
  }
}

}  // namespace heddle::admin
