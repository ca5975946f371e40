// An origin that belongs to somebody else and serves all workers, such as the message service.
#pragma once

#include "extension/http_origin.h"

namespace heddle::gateway {

class SharedOrigin final : public extension::HttpOrigin {
 public:
  // Null: a configuration asks for it that a running server cannot follow; resets every request.
  explicit SharedOrigin(extension::HttpOrigin* origin) : origin_(origin) {}

  http::Sender& start(net::Worker& worker, extension::ExchangeInfo& info,
                      http::Receiver& response) override {
    return origin_->start(worker, info, response);
  }

 private:
  extension::HttpOrigin* origin_;
};

}  // namespace heddle::gateway
