// The message service as a program on the other side sees it, for the command line: one request
// after the other, each waited for.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "net/blocking_pool.h"
#include "net/worker.h"
#include "services/outbound_http.h"

namespace heddle::cli {

class MessageClient {
 public:
  // `server`: "http://127.0.0.1:8080", under which /v1 is found; https is verified.
  static Result<std::unique_ptr<MessageClient>> create(std::string server);
  ~MessageClient();
  MessageClient(const MessageClient&) = delete;
  MessageClient& operator=(const MessageClient&) = delete;

  void set_token(std::string token) { token_ = std::move(token); }
  // The answer's object. Errors: what the server says, as "403 blocked: reason (plugin words)", or
  // that it cannot be reached.
  Result<boost::json::object> call(std::string_view method, std::string_view path,
                                   const boost::json::object* body = nullptr);
  Result<void> log_in(const std::string& user, const std::string& password);

 private:
  explicit MessageClient(std::string server);
  Result<services::OutboundResponse> exchange(services::OutboundRequest request);

  std::string server_;
  std::string token_;
  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  std::shared_ptr<const services::HttpPermissions> permissions_;
  net::Worker worker_;
  std::unique_ptr<net::BlockingPool> blocking_;
  std::unique_ptr<services::OutboundHttp> http_;
};

}  // namespace heddle::cli
