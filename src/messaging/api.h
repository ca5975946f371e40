// The HTTP side of the message service, without streams: a request in, an answer out. The table of
// requests is the design's (contracts.md, "The message service").
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "messaging/bell.h"
#include "messaging/service.h"

namespace heddle::messaging {

// NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
struct ApiRequest {
  std::string method = {};
  std::string path = {};           // without the query
  std::string query = {};          // as it came
  std::string authorization = {};  // the header's value
  std::string body = {};
  std::string address = {};    // of the client, for limits
  std::shared_ptr<Bell> bell;  // closed when the client has gone
};

struct ApiAnswer {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::vector<Sent> sent = {};  // to be announced after the answer went out
};
// NOLINTEND(readability-redundant-member-init)

inline constexpr std::string_view kStreamPath = "/v1/stream";  // push_session.h

class Api {
 public:
  explicit Api(MessageService& service) : service_(service) {}

  Task<ApiAnswer> handle(net::Worker& worker, std::shared_ptr<const ApiRequest> request);
  // The account of a request's bearer token.
  Task<Outcome<Account>> caller(net::Worker& worker,
                                const std::shared_ptr<const ApiRequest>& request);
  std::size_t max_body() const { return service_.settings().max_body; }
  MessageService& service() { return service_; }

  static ApiAnswer answer_of(const Refusal& refusal);

 private:
  using Request = std::shared_ptr<const ApiRequest>;
  using Answered = Task<Outcome<ApiAnswer>>;
  struct Row {
    std::string_view method;
    std::string_view path;
    Answered (Api::*handler)(net::Worker& worker, Request request);
  };
  static const std::vector<Row>& rows();

  Answered create_account(net::Worker& worker, Request request);
  Answered log_in(net::Worker& worker, Request request);
  Answered log_out(net::Worker& worker, Request request);
  Answered open_channel(net::Worker& worker, Request request);
  Answered send(net::Worker& worker, Request request);
  Answered send_batch(net::Worker& worker, Request request);
  Answered fetch(net::Worker& worker, Request request);
  Answered peek(net::Worker& worker, Request request);
  Answered acknowledge(net::Worker& worker, Request request);
  Answered show_document(net::Worker& worker, Request request);
  Answered show_page(net::Worker& worker, Request request);

  MessageService& service_;
};

}  // namespace heddle::messaging
