// What plugins set as properties: on their exchange, where later plugins read it, or on the root
// context, where only their own VM does.
#pragma once

#include <string_view>

#include "contracts/proxy_wasm/abi.h"
#include "contracts/proxy_wasm/vm.h"

namespace heddle::proxy_wasm {

// Bytes and number of what the plugins of one exchange may keep in properties.
inline constexpr std::size_t kMaxProperties = 256;
inline constexpr std::size_t kMaxPropertyBytes = std::size_t{1} << 20U;

// `path` is raw: segments separated by NUL. kBadArgument: it was declared read-only and has a
// value; kInternalFailure: no room.
Status store_property(Vm& vm, std::string_view path, std::string_view value);

// Null when nobody set it.
const extension::Property* find_property(Vm& vm, std::string_view path);

// From now on this plugin's store_property() of `path` makes a property of this kind. kBadArgument:
// it was declared before; kInternalFailure: too many.
Status declare_property(Vm& vm, std::string_view path, bool read_only);

}  // namespace heddle::proxy_wasm
