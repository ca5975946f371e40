// The host method http.fetch: an HTTP request to a permitted host.
//
//   {"url","method"?,"headers"?:{name:value},"body"?,"body_base64"?,"timeout_ms"?}
//     -> {"status","headers":{name:value},"body" or "body_base64","url"}
#pragma once

#include "contracts/json_rpc/host_methods.h"
#include "services/outbound_http.h"

namespace heddle::json_rpc {

HostMethods::Method http_fetch(services::OutboundHttp& http);

}  // namespace heddle::json_rpc
