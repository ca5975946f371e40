// Which addresses a plugin may call beside the upstreams (`permissions.http`).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace heddle::proxy_wasm {

// `address` is "host:port". Patterns: "host:port", "*.suffix:port" (any name below the suffix), "*"
// (everything). Names are compared without case; an address without a port is never permitted.
bool is_permitted(std::span<const std::string> patterns, std::string_view address);

}  // namespace heddle::proxy_wasm
