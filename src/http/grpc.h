// What the gateway itself has to know of gRPC over HTTP (grpc/doc: PROTOCOL-HTTP2.md,
// http-grpc-status-mapping.md): whether a request is a call, and how an answer tells a failure.
#pragma once

#include <string>
#include <string_view>

#include "http/header_map.h"

namespace heddle::http {

// A call has the content-type application/grpc, alone or followed by + or ;.
bool is_grpc(const HeaderMap& request);

// The gRPC status that stands for an HTTP status other than 200.
int grpc_status_of_http(int status);

// A value for `grpc-message`: everything but printable ASCII, and '%', is percent-encoded.
std::string grpc_message(std::string_view text);

}  // namespace heddle::http
