// What the gateway tells about its route plugins: GET /api/plugins, /api/plugins/NAME,
// /api/plugins/NAME/pages (reference/origins.md 3.b) and /openapi.json (OpenAPI 3.1). Pure.
#pragma once

#include <string>
#include <vector>

#include "gateway/plugin_routes.h"

namespace heddle::gateway {

struct CatalogPage {
  std::string path;
  std::string body;  // JSON
};

// Plugins that could not be loaded are listed with the state "error", those that are switched off
// as "disabled".
std::vector<CatalogPage> make_catalog(const std::vector<RoutePluginBinding>& plugins);

// openapi.cc: all routes at the paths of the manifests, schemas where the manifests give them.
std::string make_openapi(const std::vector<RoutePluginBinding>& plugins);

}  // namespace heddle::gateway
