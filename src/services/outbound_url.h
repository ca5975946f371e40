// URLs of outbound requests (RFC 3986), as strict as it takes to know what is meant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::services {

struct OutboundUrl {
  bool tls = false;
  std::string host;  // lower case, an IPv6 address without brackets
  std::uint16_t port = 0;
  std::string target;  // path and query, at least "/"

  std::string authority() const;  // "host", "[::1]:8080": without the scheme's own port
  std::string to_string() const;
  bool same_origin(const OutboundUrl& other) const {
    return tls == other.tls && host == other.host && port == other.port;
  }
};

// http and https only. Refused: a user name, spaces and control characters, anything but ASCII. A
// fragment is dropped.
Result<OutboundUrl> parse_outbound_url(std::string_view text);
// What a Location header on an answer of `base` means.
Result<OutboundUrl> resolve_location(const OutboundUrl& base, std::string_view location);

}  // namespace heddle::services
