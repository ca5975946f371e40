// The configuration as the rest of Heddle reads it: plain values with every default filled in. Made
// by the reader from the table of settings (settings.h), validated, and from then on immutable and
// shared by shared_ptr<const Config>.
//
// Names, defaults and meaning: docs/configuration.md, generated from the same table.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"

namespace heddle::config {

using Milliseconds = std::chrono::milliseconds;

// Where a value stands in the configuration, for messages: "loom.yaml:12:5".
struct Location {
  std::string file;
  int line = 0;
  int column = 0;
  // Where a value stands is no part of what it is.
  friend bool operator==(const Location&, const Location&) { return true; }
};
std::string to_string(const Location& location);

struct ListenerLimits {
  std::size_t max_head_bytes = std::size_t{64} << 10U;
  std::size_t max_headers = 100;
  std::size_t max_target_bytes = std::size_t{16} << 10U;
  std::uint64_t max_body_bytes = 0;  // 0: no limit
  Milliseconds idle_timeout{60'000};
  Milliseconds head_timeout{10'000};
  Milliseconds body_timeout{30'000};
  Milliseconds send_timeout{30'000};
  Milliseconds tcp_idle_timeout{600'000};
  std::size_t max_connections = 10'000;  // per worker
  friend bool operator==(const ListenerLimits&, const ListenerLimits&) = default;
};

struct ListenerHttp2 {
  bool enabled = true;
  std::uint32_t max_concurrent_streams = 100;
  std::size_t stream_window = std::size_t{256} << 10U;
  std::size_t connection_window = std::size_t{1} << 20U;
  std::size_t max_frame_size = std::size_t{16} << 10U;
  std::uint32_t max_resets_per_second = 100;
  std::uint32_t max_control_frames_per_second = 500;
  friend bool operator==(const ListenerHttp2&, const ListenerHttp2&) = default;
};

struct KeyFiles {
  std::string cert_file;  // PEM, with the chain after it
  std::string key_file;   // PEM; empty: it is in cert_file
  friend bool operator==(const KeyFiles&, const KeyFiles&) = default;
};

struct ListenerTls {
  bool enabled = false;  // whether the section is there
  std::string cert_file;
  std::string key_file;                // empty: it is in cert_file
  std::vector<KeyFiles> certificates;  // further ones, chosen by the server name
  std::string client_ca_file;
  std::string client_certificate = "required";  // or "optional"; with client_ca_file
  std::string min_version = "1.2";
  Milliseconds handshake_timeout{10'000};
  friend bool operator==(const ListenerTls&, const ListenerTls&) = default;
};

struct Listener {
  std::string name = "public";
  std::string address = "127.0.0.1:8080";
  std::string protocol = "http";
  std::string upstream;              // of a TCP or TLS listener
  std::vector<std::string> plugins;  // on the connections of a TCP or TLS listener
  ListenerLimits limits;
  ListenerHttp2 http2;
  ListenerTls tls;
  Location location;
  friend bool operator==(const Listener&, const Listener&) = default;

  // Whether it passes bytes on without reading them as HTTP.
  bool is_tcp() const { return protocol == "tcp" || protocol == "tls"; }
  bool speaks_tls() const { return protocol == "https" || protocol == "tls"; }
};

struct Admin {
  bool enabled = true;
  std::string address = "127.0.0.1:9091";
  bool auth_enabled = false;
  std::map<std::string, std::string> users;  // name -> argon2id or bcrypt hash
  std::string realm = "Gateway Admin";
  std::vector<std::string>
      allowed_hosts;  // values of Host beside loopback names and the bound address
  friend bool operator==(const Admin&, const Admin&) = default;
};

struct Endpoint {
  std::string address;  // "host:port"
  std::uint32_t weight = 1;
};

struct UpstreamLimits {
  Milliseconds connect_timeout{5'000};
  Milliseconds idle_timeout{55'000};
  std::size_t max_idle = 256;           // per endpoint and worker
  std::size_t max_connections = 1'024;  // per endpoint and worker
};

struct UpstreamTls {
  bool enabled = false;     // whether the section is there, or the endpoints begin with https://
  std::string ca_file;      // empty: the system's authorities
  std::string server_name;  // empty: the endpoint's host
  std::string cert_file;    // shown to servers that ask
  std::string key_file;     // empty: it is in cert_file
  bool verify = true;
  std::string min_version = "1.2";
  friend bool operator==(const UpstreamTls&, const UpstreamTls&) = default;
};

struct HealthCheck {
  bool enabled = false;  // whether the section is there
  std::string protocol = "http";
  std::string path = "/";
  std::string host;  // empty: the endpoint
  std::vector<std::string> expected_statuses = {"200-299"};
  Milliseconds interval{10'000};
  Milliseconds timeout{2'000};
  std::uint32_t healthy_threshold = 1;
  std::uint32_t unhealthy_threshold = 1;
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

struct Ejection {  // of endpoints, after what requests saw of them; 0 turns a condition off
  std::uint32_t consecutive_connect_failures = 3;
  std::uint32_t consecutive_failures = 0;
  Milliseconds time{10'000};
  Milliseconds max_time{300'000};
  std::uint32_t max_percent = 50;
};

struct CircuitBreaker {  // 0: no limit
  std::uint32_t failure_threshold = 0;
  std::uint32_t success_threshold = 3;
  Milliseconds timeout{30'000};
  std::uint32_t max_requests = 0;
  std::uint32_t max_pending_requests = 0;
  std::uint32_t max_retries = 0;
};

struct Retry {
  std::uint32_t max_retries = 0;
  std::vector<std::string> on = {"connect_failure", "reset", "status"};
  std::vector<std::string> retryable_codes = {"502", "503", "504"};
  std::vector<std::string> retryable_grpc_codes = {};
  bool non_idempotent = false;
  Milliseconds backoff_base{100};
  Milliseconds backoff_max{10'000};
  Milliseconds per_try_timeout{0};  // 0: none
  std::uint32_t budget_percent = 20;
  std::uint32_t budget_min = 3;
  std::size_t max_body = std::size_t{64} << 10U;
};

struct Upstream {
  std::string name;
  std::string builtin;  // "echo", "messages", "rpc", or empty
  std::vector<Endpoint> endpoints;
  std::string load_balancer = "round_robin";
  std::string protocol = "http1";
  std::string hash_key = "source";  // or "header:NAME", "cookie:NAME"
  UpstreamLimits limits;
  UpstreamTls tls;
  HealthCheck health_check;
  Ejection ejection;
  std::uint32_t panic_threshold = 1;  // percent
  CircuitBreaker circuit_breaker;
  Retry retry;
  Milliseconds resolve_interval{10'000};
  Location location;
};

struct Match {  // a header or query parameter that a request must have
  std::string name;
  std::string value;  // "*": any value
};

// A plugin on a route.
struct RoutePlugin {
  std::string name;
  std::optional<std::string> configuration;  // instead of the plugin's own
  Location location;
};

// Requests that one client may make: `rate` in a `period`, `burst` of them at once.
struct RateLimit {
  bool enabled = false;
  std::uint32_t rate = 100;
  Milliseconds period{1'000};
  std::uint32_t burst = 0;     // 0 is read as `rate`
  std::string key = "client";  // client, header, route
  std::string header;          // of the key "header"
  std::size_t max_keys = 65'536;
  bool headers = true;
  int priority = 2'000;
  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

struct Cors {
  bool enabled = false;
  std::vector<std::string> allow_origins;  // "*", "https://app.example", "https://*.app.example"
  std::vector<std::string> allow_methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
  std::vector<std::string> allow_headers = {"*"};
  std::vector<std::string> expose_headers;
  bool allow_credentials = false;
  Milliseconds max_age{600'000};
  int priority = 3'000;
};

struct HeaderRules {
  std::vector<std::string> remove;
  std::vector<Match> set;
  std::vector<Match> add;
  int priority = 1'000;
  bool empty() const { return remove.empty() && set.empty() && add.empty(); }
};

struct Route {
  std::string id;
  std::string host = "*";            // "*", "api.example.com", "*.example.com"
  std::string path = "/*";           // exact, "/prefix/*", with ":param" segments
  std::vector<std::string> methods;  // empty: every method
  std::vector<Match> headers;
  std::vector<Match> query_params;
  std::string upstream;
  std::vector<RoutePlugin> plugins;  // those of the file that no route names run everywhere
  std::string strip_prefix;
  Milliseconds timeout{30'000};
  int priority = 0;
  RateLimit rate_limit;  // the top level's when the route has none of its own; likewise `cors`
  Cors cors;
  HeaderRules request_headers;  // after those of the top level
  HeaderRules response_headers;
  bool reroute = true;  // choose the route anew after a filter changed request headers
  std::map<std::string, std::string> metadata;  // for plugins, by dotted name
  Location location;
};

enum class OnFailure : std::uint8_t { kClosed, kOpen, kReload };

struct Smoke {
  std::string method = "GET";
  std::string path = "/";
  std::vector<Match> headers;
  std::string body;
  std::optional<int> expect_status;
  std::vector<Match> expect_headers;
};

struct Permissions {
  std::vector<std::string> http;  // upstream names need none; "host:port", "*.suffix:port", "*"
  bool shared_data = true;
  std::string sql = "none";  // "read", "write"; "true" is write, "false" none
  bool state = true;
  bool events = true;
  std::vector<std::string> plugins;           // that it may call by rpc.call; "*": every one
  std::vector<std::string> private_networks;  // that `http` may lead to: "10.0.0.0/8"
  std::vector<std::string> environment;       // names passed from Heddle's environment
  std::vector<std::string> capabilities;      // host calls and callbacks that it has; empty: all
  // By default those that touch nothing but the plugin's own exchange and arguments.
  std::vector<std::string> foreign_functions = {
      "clear_route_cache", "compress",        "declare_property", "set_envoy_filter_state", "sign",
      "uncompress",        "verify_signature"};
};

struct Plugin {
  std::string name;
  std::string path;  // absolute, or relative to the working directory, after resolving against the
                     // file's folder
  std::string kind;  // empty: found from the exports
  std::vector<std::string>
      phases;  // empty: all. on_request_headers on_request_body on_request_trailers
               // on_response_headers on_response_body on_response_trailers on_log
  int priority = 0;
  std::optional<std::string>
      configuration;  // the bytes for the plugin: compact JSON of a map, a string as it is
  std::string vm_configuration;
  std::string root_id;
  std::string vm_id;
  std::size_t memory_limit = std::size_t{16} << 20U;
  Milliseconds timeout{0};  // 0: that of its kind
  std::size_t buffer_limit = std::size_t{1} << 20U;
  std::size_t body_limit = std::size_t{10} << 20U;  // of a request to a route plugin
  std::size_t log_lines_per_second = 1'000;
  std::size_t log_line_bytes = 4'096;
  std::uint64_t host_calls = 0;           // 0: those of its kind
  std::size_t max_calls = 100;            // at a time and worker
  std::size_t max_queued_calls = 10'000;  // per worker
  Milliseconds cpu_limit{0};              // of plugins whose calls may wait; 0: that of its kind
  std::uint32_t max_requests = 0;         // of a reused instance; 0: any number
  std::uint32_t max_instances = 0;        // per worker; 0: what the engine has
  Milliseconds instance_idle_timeout = std::chrono::seconds(60);
  bool merge_body = true;
  std::size_t outbound_calls = 32;  // at a time and exchange
  OnFailure on_failure = OnFailure::kClosed;
  bool on_failure_given = false;    // else a kind of plugin may have another default
  bool memory_limit_given = false;  // the same
  std::string isolation;            // of native code: "none" or "process"
  // Of route plugins "fresh" or "reuse", of message hooks "process" or "per_worker"; empty: the
  // kind's own, which is the first.
  std::string instances;
  int failure_status = 500;
  bool allow_on_headers_stop_iteration = false;
  std::string property_encoding = "typed";  // or "strings"
  bool enabled = true;
  Permissions permissions;
  std::map<std::string, std::string> environment;  // set for the plugin
  std::vector<Smoke> smoke;
  std::vector<std::string> route_configurations;  // that routes give it, each once
  std::string sha256;                             // lower-case hex, or empty
  std::vector<std::string> filters;               // plugins on the routes of a route plugin
  // It has phases, or a route, a TCP listener or a route plugin names it: it must be a filter.
  // Known to the registry.
  bool must_filter = false;
  Location location;
};

struct PluginDirectory {
  std::string path;
  bool watch = true;
  bool native = false;  // takes *.so too
  Location location;

  // Of a folder that stands for something else in the configuration (messaging.hooks): what its
  // plugins are and have; made when it is missing. Not settings of their own.
  std::string kind;
  std::size_t memory_limit = 0;
  Milliseconds timeout{0};
};

// What plugins reach beside HTTP messages (services/); a change of any of it needs a restart.
struct Sql {
  std::string url;  // empty: SQLite files in data_dir
  std::map<std::string, std::string> plugin_urls;
  std::string secret_file;  // empty: made in data_dir
  Milliseconds timeout{2'000};
  std::size_t max_rows = 10'000;
  std::size_t max_bytes = std::size_t{4} << 20U;
  std::size_t max_value = std::size_t{1} << 20U;
  std::size_t max_statement = std::size_t{64} << 10U;
  std::size_t max_parameters = 1'000;
  std::size_t max_waiting = 1'000;
  std::uint64_t max_size = std::uint64_t{256} << 20U;
  std::size_t connections = 2;
  std::size_t threads = 4;
};

struct State {
  std::size_t max_key = 512;
  std::size_t max_value = std::size_t{1} << 20U;
  std::size_t max_size = std::size_t{64} << 20U;
  std::size_t max_listed = 1'000;
};

struct Redis {
  std::string url;  // empty: not used
};

struct OutboundHttp {
  Milliseconds timeout{10'000};
  std::size_t max_request = std::size_t{10} << 20U;
  std::size_t max_response = std::size_t{10} << 20U;
  std::size_t max_redirects = 5;
  std::size_t max_calls = 1'000;  // per worker
  std::string ca_file;            // empty: the system's authorities
};

struct Events {
  std::size_t max_payload = std::size_t{64} << 10U;
  std::size_t max_queued = 1'000;       // per subscriber
  std::size_t max_per_second = 10'000;  // per plugin
};

struct Jwt {
  std::vector<std::string> algorithms = {"RS256", "ES256", "EdDSA"};
  std::vector<std::string> key_files;
  std::string secret_file;
  std::string jwks_url;
  std::string issuer;
  std::vector<std::string> audiences;
  Milliseconds leeway{30'000};
  Milliseconds jwks_refresh{600'000};
};

struct Auth {  // of routes of plugins that ask for it
  std::string realm = "heddle";
  Jwt jwt;
  std::map<std::string, std::string> users;  // name -> argon2id or bcrypt hash
  std::uint32_t login_failures = 5;          // 0: nobody is locked out
  Milliseconds login_lockout{15 * 60'000};
};

struct Engine {
  std::string cache_dir;  // resolved; empty: no cache
  std::string strategy = "cranelift";
  std::uint32_t instances = 1'000;
  std::uint32_t suspendable_instances = 1'000;
  friend bool operator==(const Engine&, const Engine&) = default;
};

struct Logging {
  LogLevel level = LogLevel::kInfo;
  std::string format = "json";
  bool access_log = true;
  std::string file;  // empty: standard output
};

// Where the message service keeps its data.
struct Storage {
  std::string url;  // empty: messages.db in data_dir; sqlite:FILE, postgresql://…
  Milliseconds timeout{5'000};
};

// OurChat's plugins: a folder of *.wasm that are message hooks.
struct MessageHooks {
  bool enabled = false;
  std::string directory;
  std::size_t max_memory = std::size_t{64} << 20U;
  Milliseconds max_execution_time{100};
  std::uint32_t max_memory_mb = 0;  // the guide's names of the two; 0: not given
  std::uint32_t max_execution_time_ms = 0;
};

struct Messaging {
  bool enabled = false;
  bool registration = true;  // whether anybody may make an account
  Milliseconds session_lifetime{2'592'000'000};
  std::size_t password_memory = std::size_t{64} << 20U;
  std::uint32_t password_operations = 2;
  std::uint32_t login_failures = 5;
  Milliseconds login_lockout{60'000};
  std::uint32_t logins_per_second = 10;
  std::uint32_t login_burst = 50;
  std::uint32_t messages_per_second = 100;
  std::uint32_t message_burst = 500;
  std::size_t max_payload = std::size_t{1} << 20U;
  std::size_t max_body = std::size_t{8} << 20U;
  std::size_t max_batch = 100;
  std::size_t max_fetch = 1'000;
  Milliseconds max_wait{25'000};
  std::uint64_t mailbox_messages = 10'000;
  std::size_t mailbox_bytes = std::size_t{256} << 20U;
  Milliseconds retention{2'592'000'000};
  MessageHooks hooks;
};

struct Config {
  std::vector<Listener> listeners;  // at least one
  Admin admin;
  std::vector<Upstream> upstreams;
  std::vector<Route> routes;
  std::vector<Plugin> plugins;
  std::vector<PluginDirectory> plugin_directories;
  RateLimit rate_limit;
  Cors cors;
  HeaderRules request_headers;
  HeaderRules response_headers;
  Engine engine;
  Logging logging;
  bool metrics_enabled = true;
  std::string metrics_path = "/metrics";
  std::size_t workers = 0;  // 0: one per core
  Milliseconds drain_timeout{30'000};
  std::string data_dir = "data";
  Sql sql;
  State state;
  Redis redis;
  OutboundHttp outbound_http;
  Events events;
  Auth auth;
  Storage storage;
  Messaging messaging;
  bool watch_config = true;
  bool plugin_api = true;  // GET /api/plugins and /openapi.json

  std::vector<std::string> files;  // what it was read from
  std::string effective_yaml;      // every setting with its value, secrets redacted; GET /config
};

}  // namespace heddle::config
