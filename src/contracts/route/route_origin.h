// The origin behind one route of a plugin: collects the request, finds out who asks when the route
// wants to know, has a guest answer it. Worker thread only.
#pragma once

#include <string>

#include "contracts/route/runtime.h"
#include "extension/http_origin.h"

namespace heddle::route {

class Handlers;
struct ManifestRoute;

class RouteOrigin final : public extension::HttpOrigin {
 public:
  RouteOrigin(Handlers& handlers, const ManifestRoute& route)
      : handlers_(handlers), route_(route) {}
  http::Sender& start(net::Worker& worker, extension::ExchangeInfo& info,
                      http::Receiver& response) override;

 private:
  Handlers& handlers_;
  const ManifestRoute& route_;
};

}  // namespace heddle::route
