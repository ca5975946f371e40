// The rows of upstreams. A part of the one table (settings.cc), which is all that
// includes this.
#pragma once

#include <array>
#include <string_view>

#include "config/settings.h"

namespace heddle::config::upstreams {

using enum Type;
using access::list;
using access::object;
using access::value;
using namespace unit;

inline constexpr std::array<std::string_view, 2> kTlsVersions = {"1.2", "1.3"};
inline constexpr std::array<std::string_view, 5> kUpstreamProtocols = {"http1", "http2", "auto",
                                                                       "http", "h2"};
inline constexpr std::array<std::string_view, 5> kBalancers = {
    "round_robin", "weighted", "least_conn", "random", "consistent_hash"};
inline constexpr std::array<std::string_view, 2> kCheckProtocols = {"http", "tcp"};
inline constexpr std::array<std::string_view, 3> kRetryOn = {"connect_failure", "reset", "status"};
inline constexpr std::array<std::string_view, 4> kBuiltins = {"", "echo", "messages", "rpc"};

// clang-format off
inline constexpr Setting kEndpoint[] = {
    {.key = "address", .member = value<&Endpoint::address>(), .check = check_endpoint,
     .example = "127.0.0.1:9000", .help = "Host and port; http:// before it is accepted, https:// "
                                        "means TLS.",
     .required = true},
    {.key = "weight", .type = kInteger, .member = value<&Endpoint::weight>(), .min = 1,
     .max = 65'535,
     .help = "Share of the endpoint; round_robin alone takes every endpoint in turn."},
};

inline constexpr Setting kUpstreamLimits[] = {
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

inline constexpr Setting kUpstreamTls[] = {
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

inline constexpr Setting kHealthCheck[] = {
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

inline constexpr Setting kEjection[] = {
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

inline constexpr Setting kCircuitBreaker[] = {
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

inline constexpr Setting kRetry[] = {
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

inline constexpr Setting kConsistentHash[] = {
    {.key = "hash_key", .member = value<&Upstream::hash_key>(), .check = check_hash_key,
     .example = "header:x-user",
     .help = "What of a request chooses its endpoint: source (the client's address), header:NAME or cookie:NAME."},
    {.key = "replicas", .type = kLater,
     .help = "Points of an endpoint on the ring; Heddle's table needs none."},
};

inline constexpr Setting kUpstream[] = {
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
// clang-format on

}  // namespace heddle::config::upstreams
