// An origin that gives every request the same answer.
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

}  // namespace heddle::gateway
