// What keeps outbound requests away from where they must not go (server-side request forgery):
// patterns of hosts, and ranges of addresses.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/address.h"
#include "services/outbound_http.h"
#include "services/outbound_url.h"

namespace heddle::services {

// Whether a pattern of `permissions.hosts` names this host and port.
bool is_permitted_host(const HttpPermissions& permissions, const OutboundUrl& url);

// Whether an address is one of the public Internet: not loopback, private, link-local, shared,
// reserved, multicast or for documentation, and none of these inside of an IPv6 address.
bool is_public_address(const net::SocketAddress& address);

// Whether a request for `url`, whose host is permitted, may connect to this address of it.
bool is_permitted_address(const HttpPermissions& permissions, const OutboundUrl& url,
                          const net::SocketAddress& address);

// "10.0.0.0/8", "fd00::/8", "127.0.0.1". The error says what is wrong.
Result<void> check_network(const std::string& network);

}  // namespace heddle::services
