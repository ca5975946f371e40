// The rows of listeners and the admin API. A part of the one table (settings.cc), which is all that
// includes this.
#pragma once

#include <array>
#include <string_view>

#include "config/settings.h"

namespace heddle::config::listeners {

using enum Type;
using enum Problem::Severity;
using access::list;
using access::object;
using access::value;
using namespace unit;

inline constexpr std::array<std::string_view, 5> kProtocols = {"http", "https", "h2c", "tcp",
                                                               "tls"};
inline constexpr std::array<std::string_view, 3> kLaterProtocols = {"http3", "grpc", "grpcs"};
inline constexpr std::array<std::string_view, 2> kTlsVersions = {"1.2", "1.3"};
inline constexpr std::array<std::string_view, 2> kClientCertificate = {"required", "optional"};

// clang-format off
inline constexpr Setting kListenerLimits[] = {
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

inline constexpr Setting kListenerHttp2[] = {
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

inline constexpr Setting kKeyFiles[] = {
    {.key = "cert_file", .type = kPath, .member = value<&KeyFiles::cert_file>(),
     .example = "server.pem", .help = "Certificate in PEM, with the chain after it.",
     .required = true, .beside_file = true},
    {.key = "key_file", .type = kPath, .member = value<&KeyFiles::key_file>(),
     .example = "server.key", .help = "Its private key in PEM; absent: it is in cert_file.",
     .beside_file = true},
};

inline constexpr Setting kListenerTls[] = {
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

inline constexpr Setting kListener[] = {
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

inline constexpr Setting kAdminAuth[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&Admin::auth_enabled>(),
     .help = "Whether the admin API asks for a name and a password (basic authentication)."},
    {.key = "users", .type = kPairs, .member = value<&Admin::users>(),
     .check = check_password_hash, .check_key = check_name, .example = "{admin: \"$2y$10$…\"}",
     .help = "Names with argon2id or bcrypt hashes of their passwords.", .secret = true},
    {.key = "realm", .member = value<&Admin::realm>(), .help = "Realm that a browser shows."},
};

inline constexpr Setting kAdmin[] = {
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
// clang-format on

}  // namespace heddle::config::listeners
