// The part of WebSocket's handshake that HTTP/1 has and HTTP/2 has not (RFC 6455 section 4,
// RFC 8441 section 5.1).
#pragma once

#include "http/message.h"

namespace heddle::http {

// A Sec-WebSocket-Key, which upstreams of HTTP/1 want.
void add_websocket_key(HeaderMap& headers);

// Turns the 200 that answers an extended CONNECT, or that an origin begins with, into the 101 that
// answers the upgrade `request`.
void make_switching_protocols(Head& response, const HeaderMap& request);

}  // namespace heddle::http
