// The rows of routes and the native filters: rate_limit, cors, headers. A part of the one table
// (settings.cc), which is all that includes this.
#pragma once

#include <array>
#include <string_view>

#include "config/settings.h"

namespace heddle::config::routes {

using enum Type;
using access::list;
using access::object;
using access::value;
using namespace unit;

// clang-format off
inline constexpr Setting kRoutePlugin[] = {
    {.key = "name", .member = value<&RoutePlugin::name>(), .check = check_name, .example = "auth",
     .help = "Name of the plugin.", .required = true},
    {.key = "config", .type = kPayload, .member = value<&RoutePlugin::configuration>(),
     .example = "{key1: value1}",
     .help = "What the plugin is configured with on this route, instead of its own `config`."},
};

inline constexpr std::array<std::string_view, 3> kRateLimitKeys = {"client", "header", "route"};

inline constexpr Setting kRateLimit[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&RateLimit::enabled>(),
     .shown_default = "false; true for a route that has it",
     .help = "Whether requests are limited; beyond the limit 429."},
    {.key = "rate", .type = kInteger, .member = value<&RateLimit::rate>(), .min = 1,
     .max = 1'000 * kMillion, .help = "Requests that are taken in one period."},
    {.key = "period", .type = kDuration, .member = value<&RateLimit::period>(), .min = 1,
     .max = kDay, .help = "The period of `rate`."},
    {.key = "burst", .type = kInteger, .member = value<&RateLimit::burst>(), .min = 0,
     .max = kMillion, .shown_default = "as `rate`", .example = "20",
     .help = "Requests that are taken at once after a quiet time."},
    {.key = "key", .type = kChoice, .member = value<&RateLimit::key>(),
     .choices = kRateLimitKeys,
     .help = "What is counted: each client address (of IPv6 each /64), each value of a header, or all requests together."},
    {.key = "header", .member = value<&RateLimit::header>(), .check = check_optional_token,
     .example = "x-api-key",
     .help = "The header of `key: header`; requests without it count to their address."},
    {.key = "max_keys", .type = kInteger, .member = value<&RateLimit::max_keys>(), .min = 8,
     .max = 64 * kMillion, .help = "Keys that are remembered, 16 bytes each; others make room."},
    {.key = "headers", .type = kBoolean, .member = value<&RateLimit::headers>(),
     .help = "Whether answers have x-ratelimit-limit, -remaining and -reset."},
    {.key = "priority", .type = kInteger, .member = value<&RateLimit::priority>(),
     .min = -kMillion, .max = kMillion, .help = "Its place among the plugins."},
    {.key = "cleanup_interval", .type = kLater,
     .help = "Not needed: what is remembered is bounded."},
};

inline constexpr Setting kCors[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&Cors::enabled>(),
     .shown_default = "false; true for a route that has it",
     .help = "Whether pages of other origins may use the routes."},
    {.key = "allow_origins", .type = kTexts, .member = value<&Cors::allow_origins>(),
     .check = check_origin, .example = "[\"https://*.example.com\"]",
     .help = "Origins of such pages: scheme://host[:port], * for a part of a name; \"*\" is everybody."},
    {.key = "allow_methods", .type = kTexts, .member = value<&Cors::allow_methods>(),
     .check = check_token, .help = "Methods that a page may use; \"*\" is any."},
    {.key = "allow_headers", .type = kTexts, .member = value<&Cors::allow_headers>(),
     .check = check_token, .help = "Request headers that a page may set; \"*\" is any."},
    {.key = "expose_headers", .type = kTexts, .member = value<&Cors::expose_headers>(),
     .check = check_token, .help = "Response headers that a page may read."},
    {.key = "allow_credentials", .type = kBoolean, .member = value<&Cors::allow_credentials>(),
     .help = "Whether the browser sends cookies and passwords; only for origins that are named."},
    {.key = "max_age", .type = kDuration, .member = value<&Cors::max_age>(), .min = 0,
     .max = kDay, .help = "How long a browser may remember the answer to a preflight."},
    {.key = "priority", .type = kInteger, .member = value<&Cors::priority>(), .min = -kMillion,
     .max = kMillion, .help = "Its place among the plugins."},
};

inline constexpr Setting kHeaderRules[] = {
    {.key = "remove", .type = kTexts, .member = value<&HeaderRules::remove>(),
     .check = check_changed_header, .example = "[server]", .help = "Headers that are removed."},
    {.key = "set", .type = kPairs, .member = value<&HeaderRules::set>(),
     .check_key = check_changed_header, .example = "{x-gateway: heddle}",
     .help = "Headers that get this value, whatever they had."},
    {.key = "add", .type = kPairs, .member = value<&HeaderRules::add>(),
     .check_key = check_changed_header, .example = "{via: heddle}",
     .help = "Headers that are added to those of the same name."},
    {.key = "priority", .type = kInteger, .member = value<&HeaderRules::priority>(),
     .min = -kMillion, .max = kMillion, .help = "Its place among the plugins."},
};

inline constexpr Setting kRoute[] = {
    {.key = "id", .member = value<&Route::id>(), .check = check_name,
     .shown_default = "made from the path", .example = "users",
     .help = "Name for logs, metrics and the admin API."},
    {.key = "host", .member = value<&Route::host>(), .check = check_host,
     .example = "\"*.example.com\"",
     .help = "Host of the request: any, one, or all below a domain."},
    {.key = "path", .member = value<&Route::path>(), .check = check_route_path,
     .example = "/users/:id", .help = "Exact path, /prefix/*, or with :param segments."},
    {.key = "methods", .type = kTexts, .member = value<&Route::methods>(), .check = check_token,
     .example = "[GET, POST]", .help = "Methods; none means every method."},
    {.key = "headers", .type = kPairs, .member = value<&Route::headers>(),
     .check_key = check_token, .example = "{x-version: \"2\"}",
     .help = "Headers that the request must have; \"*\" is any value."},
    {.key = "query_params", .type = kPairs, .member = value<&Route::query_params>(),
     .example = "{debug: \"1\"}",
     .help = "Query parameters that the request must have; \"*\" is any value."},
    {.key = "upstream", .member = value<&Route::upstream>(), .check = check_name,
     .example = "api", .help = "Name of the upstream that answers.", .required = true},
    {.key = "plugins", .type = kList, .member = list<&Route::plugins>(), .rows = kRoutePlugin,
     .shorthand = "name", .example = "[auth, {name: limiter, config: {rate: 10}}]",
     .help = "Plugins that run here, by name or as maps; one that neither a route nor a TCP listener "
             "names runs on every route."},
    {.key = "strip_prefix", .member = value<&Route::strip_prefix>(), .example = "/api",
     .help = "Taken off the beginning of the path before it goes upstream."},
    {.key = "timeout", .type = kDuration, .member = value<&Route::timeout>(), .min = 1,
     .max = kDay, .help = "How long nothing may happen: until the response begins (then 504), and between two pieces of it."},
    {.key = "priority", .type = kInteger, .member = value<&Route::priority>(), .min = -kMillion,
     .max = kMillion, .help = "Routes with a higher priority are tried first."},
    {.key = "rate_limit", .type = kObject, .member = object<&Route::rate_limit>(),
     .rows = kRateLimit, .help = "A rate limit of this route instead of the common one."},
    {.key = "cors", .type = kObject, .member = object<&Route::cors>(), .rows = kCors,
     .help = "Rules for cross-origin requests of this route instead of the common ones."},
    {.key = "request_headers", .type = kObject, .member = object<&Route::request_headers>(),
     .rows = kHeaderRules, .help = "Changes of request headers, after the common ones."},
    {.key = "response_headers", .type = kObject, .member = object<&Route::response_headers>(),
     .rows = kHeaderRules, .help = "Changes of response headers, after the common ones."},
    {.key = "reroute", .type = kBoolean, .member = value<&Route::reroute>(),
     .help = "Choose the route anew after a plugin changed the request's headers."},
    {.key = "metadata", .type = kPairs, .member = value<&Route::metadata>(),
     .example = "{envoy.filters.http.wasm.auth: cookie}",
     .help = "Values that plugins read below the property xds.route_metadata.filter_metadata, by dotted name."},
};
// clang-format on

}  // namespace heddle::config::routes
