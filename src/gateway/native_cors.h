// The native filter `cors`: lets pages of other origins use a route (Fetch standard, "CORS
// protocol"). It answers preflights itself and is the only one to say what a browser may do: what
// an upstream says of that is replaced.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "config/config.h"
#include "extension/http_filter.h"

namespace heddle::gateway {

// What of `cors` says yes or no. Immutable.
class CorsPolicy {
 public:
  explicit CorsPolicy(const config::Cors& settings);

  // The value of access-control-allow-origin; empty: not allowed.
  std::string_view allow_origin(std::string_view origin) const;
  // Credentials only go to origins that were named: "*" means everybody without them.
  bool allow_credentials(std::string_view origin) const;
  bool allow_method(std::string_view method) const;
  // The value of access-control-allow-headers for those asked for; empty: one is not allowed.
  std::string_view allow_headers(std::string_view asked) const;
  // Whether answers differ from origin to origin.
  bool varies() const { return varies_; }

  const std::string& methods() const { return methods_; }
  const std::string& exposed() const { return exposed_; }
  const std::string& max_age() const { return max_age_; }  // seconds

 private:
  bool named(std::string_view origin) const;

  config::Cors settings_;
  std::string methods_;
  std::string exposed_;
  std::string max_age_;
  bool any_origin_ = false;
  bool any_method_ = false;
  bool any_header_ = false;
  bool varies_ = true;
};

// Whether a request is a preflight: the question that a browser asks before the request itself.
// Then the method of that request, else empty.
std::string_view announced_method(const http::HeaderMap& headers);

std::shared_ptr<extension::HttpFilterFactory> make_cors_filter(const config::Cors& settings,
                                                               const std::string& route,
                                                               metrics::Registry& metrics);

}  // namespace heddle::gateway
