#include "config/settings.h"

#include <array>

#include "config/capabilities.h"
#include "config/settings_messaging.h"
#include "config/settings_services.h"

namespace heddle::config {
namespace {

using access::list;
using access::object;
using access::value;
using enum Type;
using enum Problem::Severity;

constexpr std::int64_t kKiB = 1 << 10;
constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;
constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kMillion = 1'000'000;

constexpr std::array<std::string_view, 5> kProtocols = {"http", "https", "h2c", "tcp", "tls"};
constexpr std::array<std::string_view, 3> kLaterProtocols = {"http3", "grpc", "grpcs"};
constexpr std::array<std::string_view, 2> kTlsVersions = {"1.2", "1.3"};
constexpr std::array<std::string_view, 2> kClientCertificate = {"required", "optional"};
constexpr std::array<std::string_view, 5> kUpstreamProtocols = {"http1", "http2", "auto", "http",
                                                                "h2"};
constexpr std::array<std::string_view, 5> kBalancers = {"round_robin", "weighted", "least_conn",
                                                        "random", "consistent_hash"};
constexpr std::array<std::string_view, 2> kCheckProtocols = {"http", "tcp"};
constexpr std::array<std::string_view, 3> kRetryOn = {"connect_failure", "reset", "status"};
constexpr std::array<std::string_view, 4> kBuiltins = {"", "echo", "messages", "rpc"};
constexpr std::array<std::string_view, 6> kKinds = {"",         "proxy_wasm",   "route",
                                                    "json_rpc", "message_hook", "native_hook"};
constexpr std::array<std::string_view, 3> kIsolations = {"", "none", "process"};
constexpr std::array<std::string_view, 13> kPhases = {"all",
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
constexpr std::array<std::string_view, 3> kOnFailure = {"closed", "open", "reload"};
constexpr std::array<std::string_view, 5> kInstances = {"", "fresh", "reuse", "process",
                                                        "per_worker"};
constexpr std::array<std::string_view, 2> kEncodings = {"typed", "strings"};
constexpr std::array<std::string_view, 2> kStrategies = {"cranelift", "pulley"};
constexpr std::array<std::string_view, 8> kLogLevels = {"trace", "debug", "info",     "warn",
                                                        "error", "off",   "critical", "warning"};
constexpr std::array<std::string_view, 2> kLogFormats = {"json", "text"};

// One row, two or three lines: the table is read as a table.
// clang-format off
constexpr Setting kListenerLimits[] = {
    {.key = "max_head_bytes", .type = kSize, .member = value<&ListenerLimits::max_head_bytes>(),
     .min = kKiB, .max = kMiB,
     .help = "Longest request line and headers together; beyond it 431."},
    {.key = "max_headers", .type = kInteger, .member = value<&ListenerLimits::max_headers>(),
     .min = 1, .max = 10'000, .help = "Most headers of a request; beyond it 431."},
    {.key = "max_target_bytes", .type = kSize,
     .member = value<&ListenerLimits::max_target_bytes>(), .min = 64, .max = kMiB,
     .help = "Longest request target (path and query); beyond it 414."},
    {.key = "max_body_bytes", .type = kSize, .member = value<&ListenerLimits::max_body_bytes>(),
     .min = 0, .help = "Longest request body, 0 for no limit; beyond it 413."},
    {.key = "idle_timeout", .type = kDuration, .member = value<&ListenerLimits::idle_timeout>(),
     .min = 1, .max = kDay, .help = "How long a connection may wait between two requests."},
    {.key = "head_timeout", .type = kDuration, .member = value<&ListenerLimits::head_timeout>(),
     .min = 1, .max = kDay, .help = "How long a client may take to send a request's headers."},
    {.key = "body_timeout", .type = kDuration, .member = value<&ListenerLimits::body_timeout>(),
     .min = 1, .max = kDay, .help = "How long a client may pause within a request body."},
    {.key = "send_timeout", .type = kDuration, .member = value<&ListenerLimits::send_timeout>(),
     .min = 1, .max = kDay, .help = "How long a client may take no bytes of a response."},
    {.key = "tcp_idle_timeout", .type = kDuration,
     .member = value<&ListenerLimits::tcp_idle_timeout>(), .min = 1, .max = kDay,
     .help = "How long a connection of a TCP listener may pass no bytes either way."},
    {.key = "max_connections", .type = kInteger,
     .member = value<&ListenerLimits::max_connections>(), .min = 1, .max = kMillion,
     .help = "Most open connections, per worker."},
};

constexpr Setting kListenerHttp2[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&ListenerHttp2::enabled>(),
     .help = "Whether clients may speak HTTP/2 (by ALPN, or by prior knowledge)."},
    {.key = "max_concurrent_streams", .type = kInteger,
     .member = value<&ListenerHttp2::max_concurrent_streams>(), .min = 1, .max = 10'000,
     .help = "Most requests at once on one connection; more are refused for the client to repeat."},
    {.key = "stream_window", .type = kSize, .member = value<&ListenerHttp2::stream_window>(),
     .min = kKiB, .max = kGiB, .help = "Bytes of one request body that may wait to be taken."},
    {.key = "connection_window", .type = kSize,
     .member = value<&ListenerHttp2::connection_window>(), .min = 64 * kKiB, .max = kGiB,
     .help = "The same for all request bodies of a connection together."},
    {.key = "max_frame_size", .type = kSize, .member = value<&ListenerHttp2::max_frame_size>(),
     .min = 16 * kKiB, .max = 16 * kMiB - 1, .help = "Longest frame that a client may send."},
    {.key = "max_resets_per_second", .type = kInteger,
     .member = value<&ListenerHttp2::max_resets_per_second>(), .min = 0, .max = kMillion,
     .help = "Streams that a client may reset; five times as many at once. 0 for no limit."},
    {.key = "max_control_frames_per_second", .type = kInteger,
     .member = value<&ListenerHttp2::max_control_frames_per_second>(), .min = 0, .max = kMillion,
     .help = "Frames without a part of a message, beyond one for each that has one; five times as "
             "many at once. 0 for no limit."},
};

constexpr Setting kKeyFiles[] = {
    {.key = "cert_file", .type = kPath, .member = value<&KeyFiles::cert_file>(),
     .example = "server.pem", .help = "Certificate in PEM, with the chain after it.",
     .required = true, .beside_file = true},
    {.key = "key_file", .type = kPath, .member = value<&KeyFiles::key_file>(),
     .example = "server.key", .help = "Its private key in PEM; absent: it is in cert_file.",
     .beside_file = true},
};

constexpr Setting kListenerTls[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&ListenerTls::enabled>(),
     .shown_default = "true when the section is there", .help = "Whether clients speak TLS."},
    {.key = "cert_file", .type = kPath, .member = value<&ListenerTls::cert_file>(),
     .example = "server.pem", .help = "Certificate in PEM, with the chain after it.",
     .beside_file = true},
    {.key = "key_file", .type = kPath, .member = value<&ListenerTls::key_file>(),
     .example = "server.key", .help = "Its private key in PEM; absent: it is in cert_file.",
     .beside_file = true},
    {.key = "certificates", .type = kList, .member = list<&ListenerTls::certificates>(),
     .rows = kKeyFiles,
     .help = "Further certificates; the server name that a client asks for chooses among all, and "
             "the first one is for every other name."},
    {.key = "client_ca_file", .type = kPath, .member = value<&ListenerTls::client_ca_file>(),
     .example = "clients-ca.pem",
     .help = "Authorities in PEM whose certificates clients must show.", .beside_file = true},
    {.key = "client_certificate", .type = kChoice,
     .member = value<&ListenerTls::client_certificate>(), .choices = kClientCertificate,
     .help = "With client_ca_file: whether a client may come without a certificate."},
    {.key = "min_version", .type = kChoice, .member = value<&ListenerTls::min_version>(),
     .choices = kTlsVersions, .help = "Oldest version of TLS that is accepted."},
    {.key = "handshake_timeout", .type = kDuration,
     .member = value<&ListenerTls::handshake_timeout>(), .min = 1, .max = kDay,
     .help = "How long a client may take for the handshake."},
};

constexpr Setting kListener[] = {
    {.key = "name", .member = value<&Listener::name>(), .check = check_name,
     .shown_default = "public, then listener-2, …", .example = "public",
     .help = "Name for logs and metrics."},
    {.key = "address", .member = value<&Listener::address>(), .check = check_listen_address,
     .example = "\":8080\"",
     .help = "Host and port to listen on; without host: every interface."},
    {.key = "protocol", .type = kChoice, .member = value<&Listener::protocol>(),
     .choices = kProtocols, .later_choices = kLaterProtocols,
     .help = "What clients speak: http is HTTP/1.1, and HTTP/2 by prior knowledge; https is both "
             "over TLS, chosen by ALPN; h2c is HTTP/2 alone; tcp is anything, passed on to "
             "upstream, and tls the same over TLS.",
     .severity = kError},
    {.key = "upstream", .member = value<&Listener::upstream>(), .example = "database",
     .help = "Where a tcp or tls listener passes its connections on to."},
    {.key = "plugins", .type = kTexts, .member = value<&Listener::plugins>(), .check = check_name,
     .example = "[audit]",
     .help = "Plugins on the connections of a tcp or tls listener; they run there and on no route "
             "that does not name them."},
    {.key = "limits", .type = kObject, .member = object<&Listener::limits>(),
     .rows = kListenerLimits, .help = "What one client may ask for."},
    {.key = "http2", .type = kObject, .member = object<&Listener::http2>(),
     .rows = kListenerHttp2, .help = "HTTP/2 and its limits."},
    {.key = "tls", .type = kObject, .member = object<&Listener::tls>(), .rows = kListenerTls,
     .help = "Certificates of an https or tls listener, and what it asks of clients. Changed files are "
             "taken without a restart."},
};

constexpr Setting kAdminAuth[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&Admin::auth_enabled>(),
     .help = "Whether the admin API asks for a name and a password (basic authentication)."},
    {.key = "users", .type = kPairs, .member = value<&Admin::users>(),
     .check = check_password_hash, .check_key = check_name, .example = "{admin: \"$2y$10$…\"}",
     .help = "Names with argon2id or bcrypt hashes of their passwords.", .secret = true},
    {.key = "realm", .member = value<&Admin::realm>(), .help = "Realm that a browser shows."},
};

constexpr Setting kAdmin[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&Admin::enabled>(),
     .help = "Whether the admin API listens.", .needs_restart = true},
    {.key = "address", .member = value<&Admin::address>(), .check = check_listen_address,
     .example = "127.0.0.1:9091", .help = "Host and port of the admin API.",
     .needs_restart = true},
    {.key = "auth", .type = kObject, .rows = kAdminAuth, .help = "Who may use the admin API."},
    {.key = "allowed_hosts", .type = kTexts, .member = value<&Admin::allowed_hosts>(),
     .check = check_allowed_host, .example = "[gateway.internal]",
     .help = "Values of the Host header accepted beside loopback names and the address itself."},
};

constexpr Setting kEndpoint[] = {
    {.key = "address", .member = value<&Endpoint::address>(), .check = check_endpoint,
     .example = "127.0.0.1:9000", .help = "Host and port; http:// before it is accepted, https:// "
                                        "means TLS.",
     .required = true},
    {.key = "weight", .type = kInteger, .member = value<&Endpoint::weight>(), .min = 1,
     .max = 65'535,
     .help = "Share of the endpoint; round_robin alone takes every endpoint in turn."},
};

constexpr Setting kUpstreamLimits[] = {
    {.key = "connect_timeout", .type = kDuration,
     .member = value<&UpstreamLimits::connect_timeout>(), .min = 1, .max = kDay,
     .help = "How long connecting to an endpoint may take."},
    {.key = "idle_timeout", .type = kDuration, .member = value<&UpstreamLimits::idle_timeout>(),
     .min = 1, .max = kDay, .help = "How long an unused connection is kept."},
    {.key = "max_idle", .type = kInteger, .member = value<&UpstreamLimits::max_idle>(), .min = 0,
     .max = 100'000, .help = "Most unused connections kept, per endpoint and worker."},
    {.key = "max_connections", .type = kInteger,
     .member = value<&UpstreamLimits::max_connections>(), .min = 1, .max = 100'000,
     .help = "Most connections, per endpoint and worker."},
};

constexpr Setting kUpstreamTls[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&UpstreamTls::enabled>(),
     .shown_default = "true when the section is there",
     .help = "Whether TLS is spoken with the endpoints; so it is when they begin with https://."},
    {.key = "ca_file", .type = kPath, .member = value<&UpstreamTls::ca_file>(),
     .shown_default = "those of the system", .example = "internal-ca.pem",
     .help = "Authorities in PEM that are trusted.", .beside_file = true},
    {.key = "server_name", .member = value<&UpstreamTls::server_name>(), .check = check_server_name,
     .shown_default = "the endpoint's host", .example = "api.internal",
     .help = "Name that is asked for (SNI) and that the certificate must be of."},
    {.key = "cert_file", .type = kPath, .member = value<&UpstreamTls::cert_file>(),
     .example = "client.pem", .help = "Certificate in PEM for endpoints that ask for one.",
     .beside_file = true},
    {.key = "key_file", .type = kPath, .member = value<&UpstreamTls::key_file>(),
     .example = "client.key", .help = "Its private key in PEM; absent: it is in cert_file.",
     .beside_file = true},
    {.key = "verify", .type = kBoolean, .member = value<&UpstreamTls::verify>(),
     .help = "Whether the endpoint's certificate must be trusted and of the right name."},
    {.key = "min_version", .type = kChoice, .member = value<&UpstreamTls::min_version>(),
     .choices = kTlsVersions, .help = "Oldest version of TLS that is spoken."},
};

constexpr Setting kHealthCheck[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&HealthCheck::enabled>(),
     .shown_default = "true when health_check is there",
     .help = "Whether endpoints are asked how they are."},
    {.key = "protocol", .type = kChoice, .member = value<&HealthCheck::protocol>(),
     .choices = kCheckProtocols,
     .help = "What is asked: http is a GET, tcp only connects."},
    {.key = "path", .member = value<&HealthCheck::path>(), .check = check_request_target,
     .example = "/health", .help = "Path of the GET."},
    {.key = "host", .member = value<&HealthCheck::host>(), .shown_default = "the endpoint",
     .example = "api.internal", .help = "Host header of the GET."},
    {.key = "expected_statuses", .type = kTexts,
     .member = value<&HealthCheck::expected_statuses>(), .check = check_status_range,
     .example = "[200, \"300-399\"]", .help = "Statuses that mean healthy."},
    {.key = "interval", .type = kDuration, .member = value<&HealthCheck::interval>(), .min = 10,
     .max = kDay, .help = "Time between two checks of an endpoint; a tenth of it is random."},
    {.key = "timeout", .type = kDuration, .member = value<&HealthCheck::timeout>(), .min = 1,
     .max = kDay, .help = "How long a check may take; beyond it the check has failed."},
    {.key = "healthy_threshold", .type = kInteger,
     .member = value<&HealthCheck::healthy_threshold>(), .min = 1, .max = 1000,
     .help = "Checks in a row that must succeed before an unhealthy endpoint is used again."},
    {.key = "unhealthy_threshold", .type = kInteger,
     .member = value<&HealthCheck::unhealthy_threshold>(), .min = 1, .max = 1000,
     .help = "Checks in a row that must fail before an endpoint is not used any more."},
};

constexpr Setting kEjection[] = {
    {.key = "consecutive_connect_failures", .type = kInteger,
     .member = value<&Ejection::consecutive_connect_failures>(), .min = 0, .max = kMillion,
     .help = "Connections in a row that could not be made until the endpoint is ejected; 0: never."},
    {.key = "consecutive_failures", .type = kInteger,
     .member = value<&Ejection::consecutive_failures>(), .min = 0, .max = kMillion,
     .example = "5",
     .help = "Requests in a row answered with 5xx or not at all until the endpoint is ejected; 0: never."},
    {.key = "time", .type = kDuration, .member = value<&Ejection::time>(), .min = 1, .max = kDay,
     .help = "How long the first ejection lasts; every further one lasts that much longer."},
    {.key = "max_time", .type = kDuration, .member = value<&Ejection::max_time>(), .min = 1,
     .max = kDay, .help = "How long an ejection lasts at most."},
    {.key = "max_percent", .type = kInteger, .member = value<&Ejection::max_percent>(), .min = 0,
     .max = 100, .help = "Share of the endpoints that may be ejected at a time."},
};

constexpr Setting kCircuitBreaker[] = {
    {.key = "failure_threshold", .type = kInteger,
     .member = value<&CircuitBreaker::failure_threshold>(), .min = 0, .max = kMillion,
     .example = "5",
     .help = "Requests in a row answered with 5xx or not at all until the circuit opens: requests get 503 at once; 0: never."},
    {.key = "success_threshold", .type = kInteger,
     .member = value<&CircuitBreaker::success_threshold>(), .min = 1, .max = kMillion,
     .help = "Trial requests in a row that must succeed until it closes."},
    {.key = "timeout", .type = kDuration, .member = value<&CircuitBreaker::timeout>(), .min = 1,
     .max = kDay, .help = "How long it stays open before trial requests; a quarter more or less, at random."},
    {.key = "max_requests", .type = kInteger, .member = value<&CircuitBreaker::max_requests>(),
     .min = 0, .max = kMillion, .example = "1000",
     .help = "Most requests at a time, over all workers; 0: no limit."},
    {.key = "max_pending_requests", .type = kInteger,
     .member = value<&CircuitBreaker::max_pending_requests>(), .min = 0, .max = kMillion,
     .help = "Most requests that wait while max_requests are under way; beyond it 503."},
    {.key = "max_retries", .type = kInteger, .member = value<&CircuitBreaker::max_retries>(),
     .min = 0, .max = kMillion, .help = "Most retries at a time, over all workers; 0: retry's budget alone."},
};

constexpr Setting kRetry[] = {
    {.key = "max_retries", .type = kInteger, .member = value<&Retry::max_retries>(), .min = 0,
     .max = 100, .example = "2", .help = "How often a request is sent again at most."},
    {.key = "on", .type = kTexts, .member = value<&Retry::on>(), .choices = kRetryOn,
     .help = "When: no connection; a connection that breaks off, or per_try_timeout, before the answer; a status."},
    {.key = "retryable_codes", .type = kTexts, .member = value<&Retry::retryable_codes>(),
     .check = check_status_range, .example = "[503, \"500-599\"]",
     .help = "Statuses that are not passed on but tried again."},
    {.key = "retryable_grpc_codes", .type = kTexts,
     .member = value<&Retry::retryable_grpc_codes>(), .check = check_grpc_code,
     .example = "[14]",
     .help = "The same for grpc-status of answers without messages; gRPC requests count as idempotent then."},
    {.key = "non_idempotent", .type = kBoolean, .member = value<&Retry::non_idempotent>(),
     .help = "Also POST and other methods that may act twice; without it these are only sent again when no connection was made."},
    {.key = "backoff_base", .type = kDuration, .member = value<&Retry::backoff_base>(), .min = 1,
     .max = kDay, .help = "Longest pause before the first retry, doubled for each further one; the pause is a random part of it."},
    {.key = "backoff_max", .type = kDuration, .member = value<&Retry::backoff_max>(), .min = 1,
     .max = kDay, .help = "Longest pause before any retry."},
    {.key = "per_try_timeout", .type = kDuration, .member = value<&Retry::per_try_timeout>(),
     .min = 0, .max = kDay, .help = "How long one try may take until its answer begins; 0: the route's timeout alone."},
    {.key = "budget_percent", .type = kInteger, .member = value<&Retry::budget_percent>(),
     .min = 0, .max = 100, .help = "Most retries at a time, as a share of the requests under way."},
    {.key = "budget_min", .type = kInteger, .member = value<&Retry::budget_min>(), .min = 0,
     .max = kMillion, .help = "Retries at a time that the budget always allows."},
    {.key = "max_body", .type = kSize, .member = value<&Retry::max_body>(), .min = 0,
     .max = kGiB, .help = "Longest request body kept to be sent again; a request with a longer one is not retried."},
};

constexpr Setting kConsistentHash[] = {
    {.key = "hash_key", .member = value<&Upstream::hash_key>(), .check = check_hash_key,
     .example = "header:x-user",
     .help = "What of a request chooses its endpoint: source (the client's address), header:NAME or cookie:NAME."},
    {.key = "replicas", .type = kLater,
     .help = "Points of an endpoint on the ring; Heddle's table needs none."},
};

constexpr Setting kUpstream[] = {
    {.key = "name", .member = value<&Upstream::name>(), .check = check_name, .example = "api",
     .help = "Name that routes and plugins use.", .required = true},
    {.key = "endpoints", .type = kList, .member = list<&Upstream::endpoints>(), .rows = kEndpoint,
     .shorthand = "address", .example = "[\"127.0.0.1:9000\"]",
     .help = "The servers behind the name, as host:port or as maps."},
    {.key = "builtin", .type = kChoice, .member = value<&Upstream::builtin>(),
     .choices = kBuiltins, .example = "echo",
     .help = "Instead of endpoints: echo answers with what it saw, rpc calls the JSON-RPC plugin that the path's last segment names."},
    {.key = "load_balancer", .type = kChoice, .member = value<&Upstream::load_balancer>(),
     .choices = kBalancers,
     .help = "How an endpoint is chosen: in turn, by weight, the one with the fewest requests, the better of two at random, or by consistent_hash."},
    {.key = "consistent_hash", .type = kObject, .rows = kConsistentHash,
     .help = "The balancer of this name."},
    {.key = "limits", .type = kObject, .member = object<&Upstream::limits>(),
     .rows = kUpstreamLimits, .help = "Connections and their timeouts."},
    {.key = "tls", .type = kObject, .member = object<&Upstream::tls>(), .rows = kUpstreamTls,
     .help = "TLS towards the endpoints. Changed files are taken without a restart."},
    {.key = "protocol", .type = kChoice, .member = value<&Upstream::protocol>(),
     .choices = kUpstreamProtocols,
     .help = "What is spoken with the endpoints: http1 (also written http), http2 (also h2; by prior "
             "knowledge without TLS), or auto, what they choose by ALPN, which is http1 without "
             "TLS. Calls of plugins by gRPC speak HTTP/2 in any case."},
    {.key = "health_check", .type = kObject, .member = object<&Upstream::health_check>(),
     .rows = kHealthCheck, .help = "Asking the endpoints how they are."},
    {.key = "ejection", .type = kObject, .member = object<&Upstream::ejection>(),
     .rows = kEjection, .help = "Leaving out endpoints that fail."},
    {.key = "panic_threshold", .type = kInteger, .member = value<&Upstream::panic_threshold>(),
     .min = 0, .max = 100,
     .help = "When fewer than this many percent of the endpoints are usable, all are used; 0: then 503."},
    {.key = "circuit_breaker", .type = kObject, .member = object<&Upstream::circuit_breaker>(),
     .rows = kCircuitBreaker, .help = "Limits that protect the endpoints; beyond them 503."},
    {.key = "retry", .type = kObject, .member = object<&Upstream::retry>(), .rows = kRetry,
     .help = "Sending requests again."},
    {.key = "resolve_interval", .type = kDuration,
     .member = value<&Upstream::resolve_interval>(), .min = 10, .max = kDay,
     .help = "How often names of endpoints are resolved anew."},
    {.key = "bulkhead", .type = kLater, .help = "Limit of concurrent requests."},
    {.key = "service_discovery", .type = kLater, .help = "Endpoints from a registry."},
};

constexpr Setting kRoutePlugin[] = {
    {.key = "name", .member = value<&RoutePlugin::name>(), .check = check_name, .example = "auth",
     .help = "Name of the plugin.", .required = true},
    {.key = "config", .type = kPayload, .member = value<&RoutePlugin::configuration>(),
     .example = "{key1: value1}",
     .help = "What the plugin is configured with on this route, instead of its own `config`."},
};

constexpr std::array<std::string_view, 3> kRateLimitKeys = {"client", "header", "route"};

constexpr Setting kRateLimit[] = {
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

constexpr Setting kCors[] = {
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

constexpr Setting kHeaderRules[] = {
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

constexpr Setting kRoute[] = {
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

constexpr std::string_view kSqlAccess[] = {"none", "read", "write", "true", "false"};

constexpr Setting kPermissions[] = {
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

constexpr Setting kExpect[] = {
    {.key = "status", .type = kInteger, .member = value<&Smoke::expect_status>(), .min = 100,
     .max = 599, .shown_default = "any", .example = "200", .help = "Status of the response."},
    {.key = "headers", .type = kPairs, .member = value<&Smoke::expect_headers>(),
     .check_key = check_token, .help = "Headers of the response; \"*\" is any value."},
};

constexpr Setting kSmoke[] = {
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

constexpr Setting kPlugin[] = {
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
     .max = kGiB, .help = "Longest request body that a handler of a route plugin gets; longest params and longest message of a JSON-RPC plugin."},
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

constexpr Setting kPluginDirectory[] = {
    {.key = "path", .type = kPath, .member = value<&PluginDirectory::path>(),
     .check = check_plugin_path, .example = "plugins",
     .help = "The folder; relative to the configuration file.", .required = true,
     .beside_file = true},
    {.key = "watch", .type = kBoolean, .member = value<&PluginDirectory::watch>(),
     .help = "Whether changes of its files take effect at once."},
    {.key = "native", .type = kBoolean, .member = value<&PluginDirectory::native>(),
     .help = "Whether *.so in it are loaded too: who may write there runs code as the server."},
};

constexpr Setting kEngine[] = {
    {.key = "cache_dir", .type = kPath, .member = value<&Engine::cache_dir>(),
     .shown_default = "$XDG_CACHE_HOME/heddle or ~/.cache/heddle", .example = "~/.cache/heddle",
     .help = "Folder of compiled code, owned by the user with mode 0700; empty: no cache.",
     .needs_restart = true},
    {.key = "strategy", .type = kChoice, .member = value<&Engine::strategy>(),
     .choices = kStrategies, .help = "Machine code, or the portable interpreter.",
     .needs_restart = true},
    {.key = "instances", .type = kInteger, .member = value<&Engine::instances>(), .min = 1,
     .max = 100'000, .help = "Most plugin instances of the process.", .needs_restart = true},
    {.key = "suspendable_instances", .type = kInteger,
     .member = value<&Engine::suspendable_instances>(), .min = 0, .max = 100'000,
     .help = "Most instances at a time, beside those, of plugins whose host calls may wait (route "
             "plugins, JSON-RPC plugins): requests that they work on at a time.",
     .needs_restart = true},
};

constexpr Setting kLogging[] = {
    {.key = "level", .type = kChoice, .member = value<&Logging::level>(), .choices = kLogLevels,
     .help = "Least level that is written."},
    {.key = "format", .type = kChoice, .member = value<&Logging::format>(),
     .choices = kLogFormats, .help = "One JSON object or one line of text per entry.",
     .needs_restart = true},
    {.key = "access_log", .type = kBoolean, .member = value<&Logging::access_log>(),
     .help = "Whether every request is logged."},
    {.key = "file", .type = kPath, .member = value<&Logging::file>(),
     .shown_default = "standard output", .example = "/var/log/heddle.log",
     .help = "File to append to.", .needs_restart = true},
};

constexpr Setting kPrometheus[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&Config::metrics_enabled>(),
     .help = "Whether metrics are served on the admin address."},
    {.key = "path", .member = value<&Config::metrics_path>(), .check = check_url_path,
     .help = "Path of the metrics."},
};

constexpr Setting kMetrics[] = {
    {.key = "prometheus", .type = kObject, .rows = kPrometheus,
     .help = "Metrics for Prometheus."},
    {.key = "opentelemetry", .type = kLater, .help = "Metrics sent by OTLP."},
};

constexpr Setting kConfig[] = {
    {.key = "listeners", .type = kList, .member = list<&Config::listeners>(), .rows = kListener,
     .shown_default = "one at 127.0.0.1:8080", .help = "Where clients connect."},
    {.key = "admin", .type = kObject, .member = object<&Config::admin>(), .rows = kAdmin,
     .help = "The admin API."},
    {.key = "upstreams", .type = kList, .member = list<&Config::upstreams>(), .rows = kUpstream,
     .shown_default = "echo, when there are no routes either",
     .help = "The servers that requests go to."},
    {.key = "routes", .type = kList, .member = list<&Config::routes>(), .rows = kRoute,
     .shown_default = "/* to echo, when there are no upstreams either",
     .help = "Which requests go to which upstream."},
    {.key = "plugins", .type = kList, .member = list<&Config::plugins>(), .rows = kPlugin,
     .help = "The plugins; one that neither a route nor a TCP listener names runs on every route."},
    {.key = "plugin_directories", .type = kList, .member = list<&Config::plugin_directories>(),
     .rows = kPluginDirectory, .shorthand = "path", .example = "[{path: plugins, watch: true}]",
     .help = "Folders whose modules are all loaded."},
    {.key = "engine", .type = kObject, .member = object<&Config::engine>(), .rows = kEngine,
     .help = "The WebAssembly engine."},
    {.key = "logging", .type = kObject, .member = object<&Config::logging>(), .rows = kLogging,
     .help = "The process log."},
    {.key = "metrics", .type = kObject, .rows = kMetrics, .help = "Metrics."},
    {.key = "workers", .type = kInteger, .member = value<&Config::workers>(), .min = 0,
     .max = 256, .help = "Worker threads; 0 is one per core.", .needs_restart = true},
    {.key = "drain_timeout", .type = kDuration, .member = value<&Config::drain_timeout>(),
     .min = 0, .max = kDay,
     .help = "How long open exchanges may go on after a reload or a stop."},
    {.key = "data_dir", .type = kPath, .member = value<&Config::data_dir>(),
     .help = "Folder of databases and plugin state; relative to the working directory.",
     .needs_restart = true},
    {.key = "plugin_api", .type = kBoolean, .member = value<&Config::plugin_api>(),
     .help = "Whether GET /api/plugins, the pages of plugins and /openapi.json are answered; only "
             "while there are route plugins."},
    {.key = "watch_config", .type = kBoolean, .member = value<&Config::watch_config>(),
     .help = "Whether a change of the configuration's files takes effect at once; SIGHUP always does."},
    {.key = "sql", .type = kObject, .member = object<&Config::sql>(), .rows = services::kSql,
     .help = "Databases of plugins."},
    {.key = "state", .type = kObject, .member = object<&Config::state>(), .rows = services::kState,
     .help = "Key-value data of plugins."},
    {.key = "outbound_http", .type = kObject, .member = object<&Config::outbound_http>(),
     .rows = services::kOutboundHttp, .help = "HTTP requests of plugins to permitted hosts."},
    {.key = "events", .type = kObject, .member = object<&Config::events>(), .rows = services::kEvents,
     .help = "Events between plugins."},
    {.key = "auth", .type = kObject, .member = object<&Config::auth>(), .rows = services::kAuth,
     .help = "Who may use routes of plugins that ask for a user."},
    {.key = "messaging", .type = kObject, .member = object<&Config::messaging>(),
     .rows = messaging::kMessaging, .help = "The message service, served under /v1."},
    {.key = "storage", .type = kObject, .member = object<&Config::storage>(),
     .rows = messaging::kStorage, .help = "The database of the message service."},
    {.key = "redis", .type = kObject, .member = object<&Config::redis>(), .rows = services::kRedis,
     .help = "Redis; where it is given, the state of plugins is kept there."},
    {.key = "tracing", .type = kLater, .help = "Traces sent by OTLP."},
    {.key = "rate_limit", .type = kObject, .member = object<&Config::rate_limit>(),
     .rows = kRateLimit, .help = "How often a client may ask."},
    {.key = "cors", .type = kObject, .member = object<&Config::cors>(), .rows = kCors,
     .help = "Requests of pages of other origins."},
    {.key = "request_headers", .type = kObject, .member = object<&Config::request_headers>(),
     .rows = kHeaderRules, .help = "Changes of the headers of every request."},
    {.key = "response_headers", .type = kObject, .member = object<&Config::response_headers>(),
     .rows = kHeaderRules, .help = "Changes of the headers of every response."},
    {.key = "cache", .type = kLater, .help = "Response cache."},
    {.key = "ai_gateway", .type = kLater, .help = "Gateway of language models."},
};
// clang-format on

// Every row reaches into the object that its table is used on.
constexpr bool fits(std::span<const Setting> rows, const void* owner) {
  for (const Setting& row : rows) {
    const bool reaches = row.member.owner != nullptr;
    if (reaches && row.member.owner != owner) return false;
    const bool nested = row.type == kObject || row.type == kList;
    if (!reaches && row.type != kLater && row.type != kObject) return false;
    if (nested && !fits(row.rows, reaches ? row.member.item : owner)) return false;
  }
  return true;
}
static_assert(fits(kConfig, &access::kTag<Config>));

}  // namespace

std::span<const Setting> settings() {
  return kConfig;
}

}  // namespace heddle::config
