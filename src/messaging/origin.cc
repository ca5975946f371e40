#include "messaging/origin.h"

#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>

#include "http/websocket.h"
#include "messaging/push_session.h"
#include "net/worker.h"

namespace heddle::messaging {
namespace {

// A page cannot set headers of its WebSocket, so that it offers its token as a protocol:
// `heddle.messages, bearer.TOKEN`. Others may agree on the protocol and bring the header.
constexpr std::string_view kProtocol = "heddle.messages";
constexpr std::string_view kTokenProtocol = "bearer.";

std::string token_offered(const http::HeaderMap& headers) {
  const std::string_view offers = headers.get_joined("sec-websocket-protocol").value_or("");
  for (const auto part : std::views::split(offers, ',')) {
    std::string_view offer(part);
    while (offer.starts_with(' ')) offer.remove_prefix(1);
    while (offer.ends_with(' ')) offer.remove_suffix(1);
    if (offer.starts_with(kTokenProtocol)) return std::string(offer.substr(kTokenProtocol.size()));
  }
  return {};
}

// One request; deletes itself after its last event.
class ApiStream final : public http::Sender, private PushSession::Out {
 public:
  ApiStream(net::Worker& worker, Api& api, const extension::ExchangeInfo& info,
            http::Receiver& response)
      : worker_(worker), api_(api), response_(response) {
    request_->bell = std::make_shared<Bell>(worker);
    if (info.connection != nullptr) request_->address = info.connection->remote_ip;
  }

  void send_informational(const http::HeaderMap& /*headers*/) override {}

  void send_head(const http::HeaderMap& headers, bool end) override {
    const std::string_view target = headers.get(":path").value_or("");
    const std::size_t mark = std::min(target.find('?'), target.size());
    request_->path = target.substr(0, mark);
    request_->query = target.substr(std::min(mark + 1, target.size()));
    request_->method = headers.get(":method").value_or("");
    request_->authorization = headers.get("authorization").value_or("");
    const bool upgrade = headers.contains("upgrade");
    if (upgrade && request_->path == kStreamPath && request_->method == "GET" &&
        headers.has_token("upgrade", "websocket")) {
      begin_session(headers);
    } else if (end || upgrade) {
      finish_request();
    }
  }

  void send_data(http::Buffer&& data, bool end) override {
    bytes_ += data.size();
    if (session_) {
      session_->on_bytes(data.to_string());
      data.clear();
      if (end && session_) session_->on_end();
      return;
    }
    if (request_->body.size() + data.size() > api_.max_body()) {
      too_large_ = true;
      request_->body.clear();
    } else if (!too_large_) {
      request_->body += data.to_string();
    }
    data.clear();
    if (end) finish_request();
  }

  void send_trailers(const http::HeaderMap& /*trailers*/) override { finish_request(); }
  void reset(http::StreamError /*error*/) override { delete_later(); }
  void pause_receiving() override {
    if (session_) session_->pause();
  }
  void resume_receiving() override {
    if (session_) session_->resume();
  }
  bool above_watermark() const override { return false; }
  std::uint64_t bytes_sent() const override { return bytes_; }
  std::uint64_t bytes_received() const override { return answer_bytes_; }

 private:
  // The stream while it lives; what it asked for goes on without it.
  struct Link {
    ApiStream* stream = nullptr;
  };

  // A stream instead of an answer. The 101 is made now, as the request's head does not stay.
  void begin_session(const http::HeaderMap& headers) {
    ended_ = true;
    switching_ = http::make_head();
    switching_->headers.add(":status", "200");
    http::make_switching_protocols(*switching_, headers);
    if (headers.has_token("sec-websocket-protocol", kProtocol)) {
      switching_->headers.add("sec-websocket-protocol", kProtocol);
      if (request_->authorization.empty()) {
        request_->authorization = "Bearer " + token_offered(headers);
      }
    }
    session_ = std::make_shared<PushSession>(api_, request_, static_cast<PushSession::Out&>(*this));
    worker_.defer([this, link = link_] {
      if (link->stream != nullptr) spawn(PushSession::run(worker_, session_));
    });
  }

  void switch_protocols() override { response_.on_head(std::move(switching_), false); }
  void refuse(const ApiAnswer& answer) override { respond(answer); }
  void write(std::string_view bytes) override {
    answer_bytes_ += bytes.size();
    http::Buffer out;
    out.append(bytes);
    response_.on_data(out, false);
  }
  void end() override {
    const auto link = link_;
    http::Buffer nothing;
    response_.on_data(nothing, true);
    if (link->stream == nullptr) return;
    delete_later();
    response_.on_complete();
  }

  void finish_request() {
    if (std::exchange(ended_, true)) return;
    worker_.defer([this, link = link_] {
      if (link->stream != nullptr) spawn(run(worker_, api_, request_, link_, too_large_));
    });
  }

  static Task<> run(net::Worker& worker, Api& api, std::shared_ptr<const ApiRequest> request,
                    std::shared_ptr<Link> link, bool too_large) {
    MessageService::Busy busy(api.service());
    ApiAnswer answer;
    if (too_large) {
      answer =
          Api::answer_of({.status = 413,
                          .code = "too_large",
                          .message = "the body has more than " + std::to_string(api.max_body()) +
                                     " bytes (messaging.max_body)"});
    } else {
      answer = co_await api.handle(worker, request);
    }
    if (link->stream != nullptr) link->stream->respond(answer);
    if (!answer.sent.empty()) {
      // Behind the answer, which leaves at the end of this event.
      worker.post([&worker, &api, sent = std::move(answer.sent), held = std::move(busy)] {
        api.service().announce(worker, sent);
      });
    }
  }

  void respond(const ApiAnswer& answer) {
    answer_bytes_ = answer.body.size();
    http::HeadPtr head = http::make_head();
    head->headers.add(":status", std::to_string(answer.status));
    const bool empty = answer.body.empty() || request_->method == "HEAD";
    if (!answer.body.empty()) head->headers.add("content-type", answer.content_type);
    if (answer.status != 204) {
      head->headers.add("content-length", std::to_string(answer.body.size()));
    }
    head->headers.add("cache-control", "no-store");
    for (const auto& [name, value] : answer.headers) head->headers.add(name, value);
    const auto link = link_;
    response_.on_head(std::move(head), empty);
    if (link->stream != nullptr && !empty) {
      http::Buffer body;
      body.append(answer.body);
      response_.on_data(body, true);
    }
    if (link->stream != nullptr) {
      delete_later();
      response_.on_complete();
    }
  }

  void delete_later() {
    if (link_->stream == nullptr) return;
    link_->stream = nullptr;
    if (session_) session_->detach();
    request_->bell->close();
    worker_.defer([owned = std::unique_ptr<ApiStream>(this)] {});
  }

  net::Worker& worker_;
  Api& api_;
  http::Receiver& response_;
  std::shared_ptr<ApiRequest> request_ = std::make_shared<ApiRequest>();
  std::shared_ptr<Link> link_ = std::make_shared<Link>(this);
  std::shared_ptr<PushSession> session_;  // null: an ordinary request
  http::HeadPtr switching_;               // its 101, until it is sent
  std::uint64_t bytes_ = 0;
  std::uint64_t answer_bytes_ = 0;
  bool ended_ = false;
  bool too_large_ = false;
};

}  // namespace

http::Sender& MessageOrigin::start(net::Worker& worker, extension::ExchangeInfo& info,
                                   http::Receiver& response) {
  info.upstream_address = "builtin:messages";
  // Owned by itself from here on: see ApiStream::delete_later.
  return *std::make_unique<ApiStream>(worker, api_, info, response).release();
}

}  // namespace heddle::messaging
