// `builtin: messages`: the message service as an origin, so that filters and routes apply to it.
#pragma once

#include "extension/http_origin.h"
#include "messaging/api.h"

namespace heddle::messaging {

class MessageOrigin final : public extension::HttpOrigin {
 public:
  // `service` outlives the origin.
  explicit MessageOrigin(MessageService& service) : api_(service) {}

  http::Sender& start(net::Worker& worker, extension::ExchangeInfo& info,
                      http::Receiver& response) override;

 private:
  Api api_;
};

}  // namespace heddle::messaging
