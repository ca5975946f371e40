// The rows of plugins and folders of plugins. A part of the one table (settings.cc), which is all
// that includes this.
#pragma once

#include <array>
#include <string_view>

#include "config/capabilities.h"
#include "config/settings.h"

namespace heddle::config::plugins {

using enum Type;
using enum Problem::Severity;
using access::list;
using access::object;
using access::value;
using namespace unit;

inline constexpr std::array<std::string_view, 6> kKinds = {
    "", "proxy_wasm", "route", "json_rpc", "message_hook", "native_hook"};
inline constexpr std::array<std::string_view, 3> kIsolations = {"", "none", "process"};
inline constexpr std::array<std::string_view, 13> kPhases = {"all",
                                                             "on_request_headers",
                                                             "on_request_body",
                                                             "on_request_trailers",
                                                             "on_response_headers",
                                                             "on_response_body",
                                                             "on_response_trailers",
                                                             "on_new_connection",
                                                             "on_downstream_data",
                                                             "on_upstream_data",
                                                             "on_downstream_connection_close",
                                                             "on_upstream_connection_close",
                                                             "on_log"};
inline constexpr std::array<std::string_view, 3> kOnFailure = {"closed", "open", "reload"};
inline constexpr std::array<std::string_view, 5> kInstances = {"", "fresh", "reuse", "process",
                                                               "per_worker"};
inline constexpr std::array<std::string_view, 2> kEncodings = {"typed", "strings"};

// clang-format off
inline constexpr std::string_view kSqlAccess[] = {"none", "read", "write", "true", "false"};

inline constexpr Setting kPermissions[] = {
    {.key = "http", .type = kTexts, .member = value<&Permissions::http>(),
     .check = check_outbound, .example = "[\"auth.internal:443\"]",
     .help = "Addresses that it may call: host:port, *.suffix:port or \"*\"; upstreams need none."},
    {.key = "shared_data", .type = kBoolean, .member = value<&Permissions::shared_data>(),
     .help = "Whether it may use shared data and queues."},
    {.key = "environment", .type = kTexts, .member = value<&Permissions::environment>(),
     .check = check_variable_name, .example = "[REGION]",
     .help = "Variables of Heddle's environment that it sees."},
    {.key = "foreign_functions", .type = kTexts,
     .member = value<&Permissions::foreign_functions>(), .check = check_name,
     .help = "Foreign functions that it may call; given, the list replaces the default."},
    {.key = "capabilities", .type = kTexts, .member = value<&Permissions::capabilities>(),
     .check = check_capability, .shown_default = "all",
     .example = "[proxy_on_request_headers, proxy_get_header_map_value]",
     .help = "Host calls, WASI functions and callbacks that it has (Envoy's allowed_capabilities); of a JSON-RPC plugin, the host methods."},
    {.key = "sql", .type = kChoice, .member = value<&Permissions::sql>(), .choices = kSqlAccess,
     .help = "Its own database: none, read or write; true is write."},
    {.key = "state", .type = kBoolean, .member = value<&Permissions::state>(),
     .help = "Whether it may keep key-value data of its own."},
    {.key = "events", .type = kBoolean, .member = value<&Permissions::events>(),
     .help = "Whether it may emit events and hear those of others."},
    {.key = "plugins", .type = kTexts, .member = value<&Permissions::plugins>(),
     .example = "[translator]", .help = "JSON-RPC plugins that it may call; \"*\" is every one."},
    {.key = "private_networks", .type = kTexts, .member = value<&Permissions::private_networks>(),
     .check = check_network, .example = "[\"10.0.0.0/8\"]",
     .help = "Address ranges that its HTTP requests reach although they are not public."},
};

inline constexpr Setting kExpect[] = {
    {.key = "status", .type = kInteger, .member = value<&Smoke::expect_status>(), .min = 100,
     .max = 599, .shown_default = "any", .example = "200", .help = "Status of the response."},
    {.key = "headers", .type = kPairs, .member = value<&Smoke::expect_headers>(),
     .check_key = check_token, .help = "Headers of the response; \"*\" is any value."},
};

inline constexpr Setting kSmoke[] = {
    {.key = "method", .member = value<&Smoke::method>(), .check = check_token,
     .help = "Method of the request."},
    {.key = "path", .member = value<&Smoke::path>(), .check = check_request_target,
     .help = "Path of the request."},
    {.key = "headers", .type = kPairs, .member = value<&Smoke::headers>(),
     .check_key = check_token, .help = "Headers of the request."},
    {.key = "body", .member = value<&Smoke::body>(), .check = check_body,
     .help = "Body of the request."},
    {.key = "expect", .type = kObject, .rows = kExpect, .help = "What the response must be."},
};

inline constexpr Setting kPlugin[] = {
    {.key = "name", .member = value<&Plugin::name>(), .check = check_name, .example = "auth",
     .help = "Name that routes and the admin API use.", .required = true},
    {.key = "path", .type = kPath, .member = value<&Plugin::path>(), .check = check_plugin_path,
     .example = "plugins/auth.wasm", .help = "The module; relative to the configuration file.",
     .required = true, .beside_file = true},
    {.key = "kind", .type = kChoice, .member = value<&Plugin::kind>(), .choices = kKinds,
     .shown_default = "found from the exports",
     .example = "proxy_wasm", .help = "The contract that the module is written against.",
     .severity = kError},
    {.key = "phase", .type = kTexts, .member = value<&Plugin::phases>(), .choices = kPhases,
     .shown_default = "all", .example = "on_request_headers",
     .help = "The callbacks that run, one or a list; all: every one that the module has.",
     .one_or_many = true},
    {.key = "priority", .type = kInteger, .member = value<&Plugin::priority>(), .min = -kMillion,
     .max = kMillion, .help = "Higher runs earlier for requests and later for responses."},
    {.key = "config", .type = kPayload, .member = value<&Plugin::configuration>(),
     .example = "{key1: value1}",
     .help = "The plugin's configuration: a map or list reaches it as JSON, a string as it is."},
    {.key = "vm_config", .type = kPayload, .member = value<&Plugin::vm_configuration>(),
     .help = "The same for its virtual machine (proxy_on_vm_start)."},
    {.key = "root_id", .member = value<&Plugin::root_id>(),
     .help = "Which root context of the module to use."},
    {.key = "vm_id", .member = value<&Plugin::vm_id>(),
     .help = "Plugins with the same vm_id share data and queues; with the same code and vm_config one VM."},
    {.key = "memory_limit", .type = kSize, .member = value<&Plugin::memory_limit>(),
     .min = 64 * kKiB, .max = 4 * kGiB, .help = "Most memory of one instance."},
    {.key = "timeout", .type = kDuration, .member = value<&Plugin::timeout>(), .min = 0,
     .max = kDay, .shown_default = "100ms; 5s for route, 10s for JSON-RPC plugins", .example = "250ms",
     .help = "Longest call of one callback; of a route's handler or a JSON-RPC call with all that it waits for. 0: as if it "
             "were absent."},
    {.key = "buffer_limit", .type = kSize, .member = value<&Plugin::buffer_limit>(), .min = 0,
     .max = kGiB, .help = "Most body bytes kept while the plugin holds a message back."},
    {.key = "body_limit", .type = kSize, .member = value<&Plugin::body_limit>(), .min = 0,
     .max = kGiB,
     .help = "Longest request body that a handler of a route plugin gets; longest params and longest message of a JSON-RPC "
             "plugin. 0: as if it were absent."},
    {.key = "log_lines_per_second", .type = kInteger,
     .member = value<&Plugin::log_lines_per_second>(), .min = 0, .max = kMillion,
     .help = "Log lines beyond it are dropped and counted."},
    {.key = "log_line_bytes", .type = kSize, .member = value<&Plugin::log_line_bytes>(),
     .min = 64, .max = kMiB, .help = "A longer log line is cut."},
    {.key = "host_calls", .type = kInteger, .member = value<&Plugin::host_calls>(), .min = 0,
     .max = 1'000 * kMillion, .shown_default = "10000; 100000 for JSON-RPC plugins", .help = "Most calls of host functions within one callback; requests of a JSON-RPC plugin in one call. 0: as if it were absent."},
    {.key = "max_calls", .type = kInteger, .member = value<&Plugin::max_calls>(), .min = 1,
     .max = 100'000, .help = "JSON-RPC: most calls at a time, per worker."},
    {.key = "max_queued_calls", .type = kInteger, .member = value<&Plugin::max_queued_calls>(),
     .min = 1, .max = kMillion, .help = "JSON-RPC: most calls that wait for their turn, per worker."},
    {.key = "cpu_limit", .type = kDuration, .member = value<&Plugin::cpu_limit>(), .min = 0,
     .max = kDay, .shown_default = "1s; 2s for JSON-RPC plugins", .example = "500ms", .help = "Longest that one call of a route or JSON-RPC plugin computes, without what it waits. 0: as if it were absent."},
    {.key = "instances", .type = kChoice, .member = value<&Plugin::instances>(),
     .choices = kInstances, .shown_default = "fresh or process", .example = "reuse",
     .help = "Of a route plugin fresh, one for every request, or reuse, one that goes on to the next; "
             "of a message_hook process, one that is called in turn, or per_worker."},
    {.key = "max_requests", .type = kInteger, .member = value<&Plugin::max_requests>(), .min = 0,
     .max = 1'000 * kMillion, .help = "Requests after which a reused instance ends. 0: any number."},
    {.key = "max_instances", .type = kInteger, .member = value<&Plugin::max_instances>(),
     .min = 0, .max = 100'000,
     .help = "Most instances of a route plugin at a time, per worker; further requests wait. 0: what "
             "the engine has."},
    {.key = "instance_idle_timeout", .type = kDuration,
     .member = value<&Plugin::instance_idle_timeout>(), .min = 1, .max = kDay,
     .help = "A reused instance that had no request for so long ends."},
    {.key = "merge_body", .type = kBoolean, .member = value<&Plugin::merge_body>(),
     .help = "Route plugins: whether the keys of a JSON object body stand at the top level of the "
             "handler's input too."},
    {.key = "outbound_calls", .type = kInteger, .member = value<&Plugin::outbound_calls>(),
     .min = 0, .max = 1'000, .help = "Most outbound calls at a time, per exchange; requests of a JSON-RPC call that wait for the host."},
    {.key = "on_failure", .type = kChoice, .member = value<&Plugin::on_failure>(),
     .choices = kOnFailure,
     .help = "After a trap: fail the request, let it pass, or fail it and load the plugin anew."},
    {.key = "isolation", .type = kChoice, .member = value<&Plugin::isolation>(),
     .choices = kIsolations, .shown_default = "none", .example = "process",
     .help = "Where a shared object runs: within the server, or in a child process of its own."},
    {.key = "failure_status", .type = kInteger, .member = value<&Plugin::failure_status>(),
     .min = 400, .max = 599, .help = "Status of a request that fails because of the plugin."},
    {.key = "allow_on_headers_stop_iteration", .type = kBoolean,
     .member = value<&Plugin::allow_on_headers_stop_iteration>(),
     .help = "Whether Pause on headers stops only the headers, as in Envoy with this option."},
    {.key = "property_encoding", .type = kChoice, .member = value<&Plugin::property_encoding>(),
     .choices = kEncodings,
     .help = "How numbers and booleans among properties reach the plugin: Envoy's bytes, or text."},
    {.key = "enabled", .type = kBoolean, .member = value<&Plugin::enabled>(),
     .help = "Whether it runs after the start."},
    {.key = "permissions", .type = kObject, .member = object<&Plugin::permissions>(),
     .rows = kPermissions, .help = "What it may reach."},
    {.key = "environment", .type = kPairs, .member = value<&Plugin::environment>(),
     .check_key = check_variable_name, .example = "{REGION: eu}",
     .help = "Environment variables set for it.", .secret = true},
    {.key = "smoke", .type = kList, .member = list<&Plugin::smoke>(), .rows = kSmoke,
     .help = "Requests that a new version must answer as expected before it serves."},
    {.key = "sha256", .member = value<&Plugin::sha256>(), .check = check_sha256,
     .help = "SHA-256 of the file; a file that does not match is refused."},
    {.key = "filters", .type = kTexts, .member = value<&Plugin::filters>(),
     .example = "[auth]", .help = "Plugins on the routes that a route plugin answers, beside those "
     "that run on every route.", .one_or_many = true},
    {.key = "scope", .type = kLater, .help = "Where the plugin runs."},
    {.key = "log_level", .type = kLater, .help = "Log level of one plugin."},
};

inline constexpr Setting kPluginDirectory[] = {
    {.key = "path", .type = kPath, .member = value<&PluginDirectory::path>(),
     .check = check_plugin_path, .example = "plugins",
     .help = "The folder; relative to the configuration file.", .required = true,
     .beside_file = true},
    {.key = "watch", .type = kBoolean, .member = value<&PluginDirectory::watch>(),
     .help = "Whether changes of its files take effect at once."},
    {.key = "native", .type = kBoolean, .member = value<&PluginDirectory::native>(),
     .help = "Whether *.so in it are loaded too: who may write there runs code as the server."},
};
// clang-format on

}  // namespace heddle::config::plugins
