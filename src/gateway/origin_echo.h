// `builtin: echo`: answers with what it saw, as JSON. For demonstrations, smoke requests and tests.
//
//   {"method":"GET","path":"/x?y=1","authority":"…","protocol":"HTTP/1.1","headers":{"name":"value",…},
//    "body":"…","body_bytes":0,"trailers":{…},"request_id":"…"}
//
// Repeated headers are joined with ", "; a body that is not UTF-8 stands as "body_base64". Bodies
// beyond 1 MiB are counted, not shown. `?status=N` (200 to 599) asks for another status.
#pragma once

#include "extension/http_origin.h"

namespace heddle::gateway {

class EchoOrigin final : public extension::HttpOrigin {
 public:
  http::Sender& start(net::Worker& worker, extension::ExchangeInfo& info,
                      http::Receiver& response) override;
};

}  // namespace heddle::gateway
