// JSON-RPC over HTTP (docs/json-rpc.md): POST /rpc/{plugin} with a request, a notification or a
// batch, and the WebSocket /rpc/{plugin}/ws. Also the upstream `builtin: rpc`, under any path whose
// last segments are these.
//
//   200  an answer, also when it is an error     204  only notifications
//   400  not JSON-RPC                            405  another method than POST
//   413  body over the limit                     426  /ws without an upgrade to WebSocket
//   404  no such plugin                          503  the plugin's queue or all instances are full
#pragma once

#include "extension/http_origin.h"
#include "extension/rpc_targets.h"

namespace heddle::json_rpc {

class RpcOrigin final : public extension::HttpOrigin {
 public:
  // `targets` outlives the exchanges.
  explicit RpcOrigin(const extension::RpcTargets& targets) : targets_(targets) {}

  http::Sender& start(net::Worker& worker, extension::ExchangeInfo& info,
                      http::Receiver& response) override;

 private:
  const extension::RpcTargets& targets_;
};

}  // namespace heddle::json_rpc
