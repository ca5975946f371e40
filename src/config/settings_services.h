// The rows of what plugins reach beside HTTP messages: sql, state, outbound_http, events, auth. A
// part of the one table (settings.cc), which is all that includes this.
#pragma once

#include <cstdint>
#include <string_view>

#include "config/settings.h"

// clang-format off
namespace heddle::config::services {

using enum Type;
using access::object;
using access::value;
using namespace unit;


inline constexpr Setting kSql[] = {
    {.key = "url", .member = value<&Sql::url>(), .check = check_postgres_url,
     .shown_default = "a SQLite file for each plugin",
     .example = "postgresql://heddle:secret@db.internal/plugins",
     .help = "PostgreSQL; each plugin gets a role and a schema, so the user needs CREATEROLE.",
     .needs_restart = true, .secret = true},
    {.key = "plugin_urls", .type = kPairs, .member = value<&Sql::plugin_urls>(),
     .check = check_postgres_url, .check_key = check_name,
     .example = "{notes: \"postgresql://notes:secret@db.internal/notes\"}",
     .help = "PostgreSQL of one plugin, with a user that was made for it; goes before `url`.",
     .needs_restart = true, .secret = true},
    {.key = "secret_file", .type = kPath, .member = value<&Sql::secret_file>(),
     .shown_default = "sql.secret in data_dir, made when it is not there",
     .help = "What the passwords of the plugins' roles are derived from; servers that share a database share it.",
     .needs_restart = true},
    {.key = "timeout", .type = kDuration, .member = value<&Sql::timeout>(), .min = 1, .max = kDay,
     .help = "Longest time of a call, waiting for a connection included.", .needs_restart = true},
    {.key = "max_rows", .type = kInteger, .member = value<&Sql::max_rows>(), .min = 1,
     .max = 10'000'000, .help = "Rows of one result; more is an error.", .needs_restart = true},
    {.key = "max_bytes", .type = kSize, .member = value<&Sql::max_bytes>(), .min = 1'024,
     .max = kGiB, .help = "Size of one result; more is an error.", .needs_restart = true},
    {.key = "max_value", .type = kSize, .member = value<&Sql::max_value>(), .min = 1'024,
     .max = kGiB, .help = "Size of one text or blob (SQLite).", .needs_restart = true},
    {.key = "max_statement", .type = kSize, .member = value<&Sql::max_statement>(), .min = 64,
     .max = kGiB, .help = "Length of one statement.", .needs_restart = true},
    {.key = "max_parameters", .type = kInteger, .member = value<&Sql::max_parameters>(), .min = 1,
     .max = 32'000, .help = "Parameters of one statement.", .needs_restart = true},
    {.key = "max_waiting", .type = kInteger, .member = value<&Sql::max_waiting>(), .min = 1,
     .max = 1'000'000, .help = "Calls of one plugin that wait for a connection.",
     .needs_restart = true},
    {.key = "max_size", .type = kSize, .member = value<&Sql::max_size>(), .min = 65'536,
     .help = "Size of one plugin's database (SQLite).", .needs_restart = true},
    {.key = "connections", .type = kInteger, .member = value<&Sql::connections>(), .min = 1,
     .max = 100, .help = "Connections of one plugin; with PostgreSQL for each worker.",
     .needs_restart = true},
    {.key = "threads", .type = kInteger, .member = value<&Sql::threads>(), .min = 1, .max = 64,
     .help = "Threads that run statements of SQLite and open connections to PostgreSQL.",
     .needs_restart = true},
};

inline constexpr Setting kState[] = {
    {.key = "max_key", .type = kSize, .member = value<&State::max_key>(), .min = 1,
     .max = 65'536, .help = "Length of a key.", .needs_restart = true},
    {.key = "max_value", .type = kSize, .member = value<&State::max_value>(), .min = 1,
     .max = kGiB, .help = "Size of a value.", .needs_restart = true},
    {.key = "max_size", .type = kSize, .member = value<&State::max_size>(), .min = 1,
     .help = "Keys and values of one plugin together.", .needs_restart = true},
    {.key = "max_listed", .type = kInteger, .member = value<&State::max_listed>(), .min = 1,
     .max = 1'000'000, .help = "Keys in one answer to a list.", .needs_restart = true},
};

inline constexpr Setting kRedis[] = {
    {.key = "url", .member = value<&Redis::url>(), .shown_default = "not used",
     .example = "redis://:secret@cache.internal:6379/0",
     .help = "Its address; unix:///path is a socket.", .needs_restart = true, .secret = true},
};

inline constexpr Setting kOutboundHttp[] = {
    {.key = "timeout", .type = kDuration, .member = value<&OutboundHttp::timeout>(), .min = 1,
     .max = kDay, .help = "Longest time of a request, redirects included.", .needs_restart = true},
    {.key = "max_request", .type = kSize, .member = value<&OutboundHttp::max_request>(), .min = 0,
     .max = kGiB, .help = "Size of a request's body.", .needs_restart = true},
    {.key = "max_response", .type = kSize, .member = value<&OutboundHttp::max_response>(), .min = 0,
     .max = kGiB, .help = "Size of an answer's body.", .needs_restart = true},
    {.key = "max_redirects", .type = kInteger, .member = value<&OutboundHttp::max_redirects>(),
     .min = 0, .max = 50, .help = "Redirects that are followed; each is checked like the first URL.",
     .needs_restart = true},
    {.key = "max_calls", .type = kInteger, .member = value<&OutboundHttp::max_calls>(), .min = 1,
     .max = 1'000'000, .help = "Requests at a time, of all plugins on one worker.",
     .needs_restart = true},
    {.key = "ca_file", .type = kPath, .member = value<&OutboundHttp::ca_file>(),
     .shown_default = "the system's authorities",
     .help = "Certificates of the authorities that are trusted.", .needs_restart = true},
};

inline constexpr Setting kEvents[] = {
    {.key = "max_payload", .type = kSize, .member = value<&Events::max_payload>(), .min = 1,
     .max = kGiB, .help = "Size of an event's payload.", .needs_restart = true},
    {.key = "max_queued", .type = kInteger, .member = value<&Events::max_queued>(), .min = 1,
     .max = 1'000'000, .help = "Events that wait for one subscriber; more are dropped and counted.",
     .needs_restart = true},
    {.key = "max_per_second", .type = kInteger, .member = value<&Events::max_per_second>(),
     .min = 1, .max = 10'000'000, .help = "Events of one plugin in a second.",
     .needs_restart = true},
};

inline constexpr std::string_view kJwtAlgorithms[] = {"HS256", "RS256", "ES256", "EdDSA"};

inline constexpr Setting kJwt[] = {
    {.key = "algorithms", .type = kTexts, .member = value<&Jwt::algorithms>(),
     .choices = kJwtAlgorithms, .help = "Signatures that are accepted.", .needs_restart = true},
    {.key = "key_files", .type = kTexts, .member = value<&Jwt::key_files>(),
     .example = "[/etc/heddle/issuer.pem]",
     .help = "Public keys: PEM keys or certificates, or JWK sets.", .one_or_many = true,
     .needs_restart = true},
    {.key = "secret_file", .type = kPath, .member = value<&Jwt::secret_file>(),
     .help = "The secret of HS256, without its last newline; at least 32 bytes.",
     .needs_restart = true},
    {.key = "jwks_url", .member = value<&Jwt::jwks_url>(),
     .example = "https://issuer.example.com/.well-known/jwks.json",
     .help = "Where the issuer publishes its keys.", .needs_restart = true},
    {.key = "issuer", .member = value<&Jwt::issuer>(), .shown_default = "any",
     .help = "What `iss` must be.", .needs_restart = true},
    {.key = "audiences", .type = kTexts, .member = value<&Jwt::audiences>(), .shown_default = "any",
     .help = "One of these must be among `aud`.", .one_or_many = true, .needs_restart = true},
    {.key = "leeway", .type = kDuration, .member = value<&Jwt::leeway>(), .min = 0, .max = kDay,
     .help = "Difference of clocks that `exp` and `nbf` are forgiven.", .needs_restart = true},
    {.key = "jwks_refresh", .type = kDuration, .member = value<&Jwt::jwks_refresh>(),
     .min = 1'000, .max = kDay, .help = "Age at which the keys of `jwks_url` are fetched again.",
     .needs_restart = true},
};

inline constexpr Setting kAuth[] = {
    {.key = "realm", .member = value<&Auth::realm>(), .check = check_text,
     .help = "Name that a client is asked to log in to.", .needs_restart = true},
    {.key = "jwt", .type = kObject, .member = object<&Auth::jwt>(), .rows = kJwt,
     .help = "Bearer tokens (JSON Web Tokens)."},
    {.key = "users", .type = kPairs, .member = value<&Auth::users>(),
     .check = check_password_hash, .check_key = check_name, .example = "{ada: \"$2y$10$…\"}",
     .help = "Users of basic authentication with their password hashes.", .needs_restart = true,
     .secret = true},
    {.key = "login_failures", .type = kInteger, .member = value<&Auth::login_failures>(), .min = 0,
     .max = 1'000'000,
     .help = "Wrong passwords of a user from one address before the user is locked out there (4 times as many from the address, 20 times as many of the user); 0: never.",
     .needs_restart = true},
    {.key = "login_lockout", .type = kDuration, .member = value<&Auth::login_lockout>(),
     .min = 1'000, .max = kDay, .help = "How long a lock-out lasts.", .needs_restart = true},
};

}  // namespace heddle::config::services
// clang-format on
