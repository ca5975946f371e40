#include "contracts/route/plugin.h"

#include <utility>

namespace heddle::route {
namespace {

extension::RouteTable table_of(const RouteManifest& manifest, std::chrono::milliseconds timeout) {
  extension::RouteTable out;
  out.name = manifest.name;
  out.version = manifest.version;
  out.description = manifest.description;
  out.author = manifest.author;
  out.pages = manifest.pages;
  for (const ManifestRoute& route : manifest.routes) {
    out.routes.push_back({.method = route.method,
                          .path = route.pattern,
                          .handler = route.handler,
                          .timeout = route.timeout.count() > 0 ? route.timeout : timeout,
                          .auth = route.auth,
                          .summary = route.description,
                          .request_schema = route.request_schema,
                          .response_schema = route.response_schema});
  }
  return out;
}

}  // namespace

Plugin::Plugin(const RouteManifest& manifest, std::chrono::milliseconds timeout,
               std::shared_ptr<Handlers> handlers)
    : table_(table_of(manifest, timeout)), handlers_(std::move(handlers)) {}

// Whoever had the last reference: instances belong to their workers.
Plugin::~Plugin() {
  Handlers::end(handlers_);
}

PagesPlugin::PagesPlugin(const RouteManifest& manifest) : table_(table_of(manifest, {})) {}

extension::HttpOrigin& PagesPlugin::origin(std::size_t /*route*/) {
  std::unreachable();  // it has no routes
}

void PagesPlugin::execute(net::Worker& /*worker*/,
                          std::move_only_function<void(Result<std::int32_t>)> done) {
  done(fail(ErrorKind::kNotFound, "the plugin has no module, and so no execute()"));
}

}  // namespace heddle::route
