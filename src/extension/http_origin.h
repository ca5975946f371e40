// The extension point that answers exchanges: an upstream, a built-in, a route plugin, the message
// service.
//
// An origin looks like the client side of a stream (http/stream.h): the gateway sends the request
// through the returned Sender and gets the answer as a Receiver. Everything runs on the exchange's
// worker.
#pragma once

#include "extension/exchange_info.h"
#include "http/stream.h"

namespace heddle::net {
class Worker;
}

namespace heddle::extension {

class HttpOrigin {
 public:
  virtual ~HttpOrigin() = default;

  // Opens an exchange. The sender lives until `response` got on_complete or on_reset, or
  // Sender::reset was called; no event comes from within start(). `info` outlives the exchange.
  virtual http::Sender& start(net::Worker& worker, ExchangeInfo& info,
                              http::Receiver& response) = 0;

  // Writes what the sender's connection is by now (upstream_address, …) into `info`; before the
  // response head is used, and before a reset is acted upon.
  virtual void describe(http::Sender& /*sender*/, ExchangeInfo& /*info*/) {}
};

}  // namespace heddle::extension
