// What a plugin may write into a header map, so that no message leaves Heddle that its codecs could
// frame in two ways.
#pragma once

#include <string_view>

#include "contracts/proxy_wasm/abi.h"
#include "http/header_map.h"

namespace heddle::proxy_wasm {

// "host" is `:authority` in request headers: they are one header.
std::string_view canonical_name(MapType map, std::string_view name);

// Whether the name may stand in this map (RFC 9110 token, or a pseudo-header of this kind of
// message), and the value with it (no CR, LF, NUL or other control characters; no spaces in
// pseudo-headers). The name is canonical.
bool is_allowed(MapType map, std::string_view name, std::string_view value);

// Headers that occur once: adding joins the values with a comma, as Envoy does.
bool is_single(std::string_view name);

// Pseudo-headers without which a message cannot be sent: they stay when a plugin removes them.
bool is_required(MapType map, std::string_view name);

// Adds, or joins when the header occurs once. The name is canonical.
void add_header(http::HeaderMap& headers, std::string_view name, std::string_view value);

}  // namespace heddle::proxy_wasm
