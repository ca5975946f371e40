// The header rules of a gateway: hop-by-hop fields, X-Forwarded-*, request ids, error bodies.
#pragma once

#include <string>
#include <string_view>

#include "extension/exchange_info.h"
#include "extension/http_filter.h"
#include "http/header_map.h"

namespace heddle::gateway {

// Removes connection-specific fields and those that Connection names (RFC 9110 section 7.6.1). With
// `keep_upgrade` (a request or 101 that switches protocols) Connection and Upgrade stay.
void strip_hop_by_hop(http::HeaderMap& headers, bool keep_upgrade);

// X-Forwarded-For (appended), X-Forwarded-Host (when absent).
void add_forwarded(http::HeaderMap& headers, const extension::ExchangeInfo& info);

// The client's id when it is one (1 to 128 visible ASCII characters), else a random UUID.
void choose_request_id(const http::HeaderMap& headers, std::string& out);

// {"error":{"code":…,"message":…,"request_id":…}}
std::string error_body(std::string_view code, std::string_view message,
                       std::string_view request_id);

// A local reply with that body and content-type application/json. `details` is the short reason for
// the access log.
extension::LocalReply error_reply(int status, std::string_view code, std::string_view message,
                                  std::string_view request_id, std::string_view details);

}  // namespace heddle::gateway
