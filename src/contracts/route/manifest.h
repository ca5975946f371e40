// The manifest of a route plugin (design/contracts.md, section 2; the seed's "manifest.json"): JSON
// beside the module or in its custom section `manifest`. Pure; any thread.
//
// Errors begin with the JSON path of what is wrong: "$.routes[1].handler: …".
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace heddle::route {

struct ManifestRoute {
  std::string path;    // as written
  std::string method;  // upper case; GET POST PUT PATCH DELETE HEAD OPTIONS
  std::string handler;
  bool auth = false;                     // `auth` or `requires_auth`
  std::chrono::milliseconds timeout{0};  // 0: the plugin's
  std::string description;
  std::string request_schema;  // JSON text; empty: not given
  std::string response_schema;
  // The path as the router reads it: "{id}" has become ":id".
  std::string pattern;
};

// What the plugin wants to hear of what others emit.
struct ManifestEvent {
  std::string name;  // "order.created", "order.*", "*"
  std::string handler;
};

// Permissions that the manifest asks for, as it spells them ("network", "database:read", …). They
// grant nothing: the configuration does.
struct RouteManifest {
  std::string name;
  std::string version;
  std::string description;
  std::string author;
  std::vector<ManifestRoute> routes;
  std::vector<ManifestEvent> events;
  std::string pages = "[]";  // JSON text of the array
  std::string wasm_entry;    // empty: not given
  std::vector<std::string> permissions;
  std::string config = "{}";  // JSON text as it was written
  std::string text;           // the whole manifest as it was written, unknown keys included
};

inline constexpr std::size_t kMaxManifest = std::size_t{1} << 20U;  // bytes
inline constexpr std::size_t kMaxRoutes = 1'000;
inline constexpr std::size_t kMaxEvents = 100;
inline constexpr std::string_view kManifestSection = "manifest";

Result<RouteManifest> parse_manifest(std::string_view text);

}  // namespace heddle::route
