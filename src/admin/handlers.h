// The handlers behind the routes of the admin API, by topic, and what they share. Internal to this
// folder.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "admin/api.h"
#include "admin/message.h"
#include "base/clock.h"

namespace heddle::admin {

// One request with what its route took apart.
struct Call {
  const Request& request;  // valid until the handler returns
  std::string name;        // {name} of the pattern, decoded
  std::string_view query;  // without '?'
};

using Handler = void (*)(const ApiDependencies& api, const Call& call, Respond respond);

Response json_response(const boost::json::value& body, int status = 200);
std::string timestamp(Nanoseconds wall);
std::string percent_decode(std::string_view text);  // a '%' without two hex digits stays
// Whether the query has `key=value`.
bool query_has(std::string_view query, std::string_view key, std::string_view value);

// plugin_handlers.cc
void list_plugins(const ApiDependencies& api, const Call& call, Respond respond);
void show_plugin(const ApiDependencies& api, const Call& call, Respond respond);
void reload_plugin(const ApiDependencies& api, const Call& call, Respond respond);
void enable_plugin(const ApiDependencies& api, const Call& call, Respond respond);
void disable_plugin(const ApiDependencies& api, const Call& call, Respond respond);
void execute_plugin(const ApiDependencies& api, const Call& call, Respond respond);
void list_events(const ApiDependencies& api, const Call& call, Respond respond);

// gateway_handlers.cc
void list_routes(const ApiDependencies& api, const Call& call, Respond respond);
void list_upstreams(const ApiDependencies& api, const Call& call, Respond respond);

// status_handlers.cc
void show_info(const ApiDependencies& api, const Call& call, Respond respond);
void show_health(const ApiDependencies& api, const Call& call, Respond respond);
void show_ready(const ApiDependencies& api, const Call& call, Respond respond);
void show_metrics(const ApiDependencies& api, const Call& call, Respond respond);

// config_handlers.cc
void show_config(const ApiDependencies& api, const Call& call, Respond respond);
void reload_config(const ApiDependencies& api, const Call& call, Respond respond);
void validate_config(const ApiDependencies& api, const Call& call, Respond respond);

}  // namespace heddle::admin
