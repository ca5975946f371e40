// The attributes that plugins read with get_property: Proxy-Wasm's well-known ones and those of
// Envoy that have a meaning here (reference/proxy-wasm.md, section 9), encoded as Envoy encodes
// them, or all as text (`property_encoding: strings`).
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "contracts/proxy_wasm/abi.h"
#include "extension/http_filter.h"
#include "extension/plugin_contract.h"

namespace heddle::proxy_wasm {

// Segments of a path, separated by NUL; the C++ SDK ends the path with one more NUL.
struct PropertyPath {
  static constexpr std::size_t kMaxSegments = 8;

  explicit PropertyPath(std::string_view raw);
  std::string_view raw;  // without the NUL at the end: the key of set_property
  std::array<std::string_view, kMaxSegments> segments;
  std::size_t count = 0;

  std::string_view segment(std::size_t index) const {
    return index < count ? segments.at(index) : std::string_view();
  }
};

// Where properties come from. `http` is null on the root context and for TCP connections, `info` on
// the root context.
struct PropertySource {
  const extension::PluginSpec& spec;
  extension::FilterHost* http = nullptr;
  const extension::ExchangeInfo* info = nullptr;
};

// kOk: `value` views the result, in `scratch` or in what lives as long as the exchange. kNotFound;
// or kSerializationFailure for a message that Envoy does not give as a whole either.
Status read_attribute(const PropertySource& source, const PropertyPath& path, std::string& scratch,
                      std::string_view& value);

}  // namespace heddle::proxy_wasm
