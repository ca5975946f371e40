// What the strings of a configuration must look like. Each check may bring its value into the form
// the rest of Heddle expects (a host in lower case, an endpoint without its scheme).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/problems.h"

namespace heddle::config {

// What stands before an endpoint that speaks TLS; check_endpoint() leaves it there.
inline constexpr std::string_view kHttps = "https://";

using Check = std::optional<Complaint> (*)(std::string& value);

std::optional<Complaint> check_text(std::string& value);  // no control characters
std::optional<Complaint> check_body(std::string& value);  // anything
std::optional<Complaint> check_name(std::string& value);  // plugins, upstreams, listeners, routes
std::optional<Complaint> check_token(
    std::string& value);  // method or header name (RFC 9110, 5.6.2)
std::optional<Complaint> check_optional_token(std::string& value);  // or empty
// A header that the configuration may change: not one on which the message's framing rests.
std::optional<Complaint> check_changed_header(std::string& value);
std::optional<Complaint> check_origin(
    std::string& value);  // "*", "null", https://*.example.com:8443
std::optional<Complaint> check_listen_address(
    std::string& value);  // 127.0.0.1:8080, :8080, [::]:8080, localhost:0
std::optional<Complaint> check_endpoint(std::string& value);  // backend:9000; http:// is taken off
std::optional<Complaint> check_server_name(std::string& value);  // of TLS: a host
std::optional<Complaint> check_host(std::string& value);  // "*", api.example.com, *.example.com
std::optional<Complaint> check_allowed_host(std::string& value);  // a value of the Host header
std::optional<Complaint> check_route_path(std::string& value);    // /exact, /prefix/*, /users/:id
std::optional<Complaint> check_url_path(std::string& value);      // begins with /
std::optional<Complaint> check_metrics_path(std::string& value);  // and shadows no other
std::optional<Complaint> check_request_target(
    std::string& value);                                          // a path with or without a query
std::optional<Complaint> check_outbound(std::string& value);      // host:port, *.suffix:port, "*"
std::optional<Complaint> check_network(std::string& value);       // 10.0.0.0/8, ::1
std::optional<Complaint> check_status_range(std::string& value);  // 503, 500-599
std::optional<Complaint> check_grpc_code(std::string& value);     // 0 to 16
std::optional<Complaint> check_hash_key(std::string& value);  // source, header:NAME, cookie:NAME
std::optional<Complaint> check_variable_name(std::string& value);  // of an environment variable
std::optional<Complaint> check_plugin_path(std::string& value);
std::optional<Complaint> check_password_hash(std::string& value);  // argon2id or bcrypt
std::optional<Complaint> check_postgres_url(std::string& value);   // or libpq's key=value words
std::optional<Complaint> check_storage_url(std::string& value);    // sqlite:FILE, or empty
std::optional<Complaint> check_sha256(std::string& value);         // 64 hexadecimal digits

}  // namespace heddle::config
