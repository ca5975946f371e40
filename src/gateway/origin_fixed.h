// An origin that gives every request the same answer, and the one for methods that a path does not
// take.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "extension/http_origin.h"

namespace heddle::gateway {

struct FixedAnswer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body = {};  // left out for HEAD and 204
};

class FixedOrigin final : public extension::HttpOrigin {
 public:
  explicit FixedOrigin(FixedAnswer answer) : answer_(std::move(answer)) {}
  http::Sender& start(net::Worker& worker, extension::ExchangeInfo& info,
                      http::Receiver& response) override;

 private:
  FixedAnswer answer_;
};

// OPTIONS gets 204, every other method 405, both with Allow.
class MethodsOrigin final : public extension::HttpOrigin {
 public:
  explicit MethodsOrigin(std::string allow) : allow_(std::move(allow)) {}
  http::Sender& start(net::Worker& worker, extension::ExchangeInfo& info,
                      http::Receiver& response) override;

 private:
  std::string allow_;
};

}  // namespace heddle::gateway
