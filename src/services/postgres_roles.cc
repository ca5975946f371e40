#include "services/postgres_roles.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "services/crypto.h"
#include "services/postgres_open.h"

namespace heddle::services {
namespace {

constexpr std::string_view kPrefix = "heddle_plugin_";
constexpr std::size_t kLongestIdentifier = 63;  // NAMEDATALEN - 1

// A value for `options` of a connection, where white space and backslashes are special.
std::string escaped_option(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == ' ' || c == '\\' || c == '\t') out += '\\';
    out += c;
  }
  return out;
}

std::string quoted(std::string_view identifier) {
  std::string out = "\"";
  for (const char c : identifier) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string session_options(const std::string& schema, int statement_timeout_ms) {
  std::string out = fmt::format(
      "-c statement_timeout={0} -c idle_in_transaction_session_timeout={0} -c bytea_output=hex "
      "-c client_encoding=UTF8 -c DateStyle=ISO -c IntervalStyle=iso_8601 "
      "-c standard_conforming_strings=on -c extra_float_digits=1",
      statement_timeout_ms);
  if (!schema.empty()) out += " -c search_path=" + escaped_option(quoted(schema));
  return out;
}

Result<PostgresResult> ask(PGconn* connection, const std::string& statement,
                           const std::vector<const char*>& parameters = {}) {
  PostgresResult out(PQexecParams(connection, statement.c_str(),
                                  static_cast<int>(parameters.size()), nullptr, parameters.data(),
                                  nullptr, nullptr, 0));
  const ExecStatusType status = PQresultStatus(out.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return out;
  return std::unexpected(postgres_error(out.get(), connection));
}

bool is_true(const PGresult* result, int column) {
  return *PQgetvalue(result, 0, column) == 't';
}

// A role of this name that was made otherwise may be a strong one.
Result<void> check_existing(PGconn* connection, const std::string& role, bool& exists) {
  auto found = ask(connection,
                   "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR "
                   "rolbypassrls OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid) "
                   "FROM pg_roles r WHERE rolname = $1",
                   {role.c_str()});
  if (!found) return std::unexpected(std::move(found.error()));
  exists = PQntuples(found->get()) > 0;
  if (!exists || !is_true(found->get(), 0)) return {};
  return fail(ErrorKind::kPermission,
              fmt::format("the database role {} has privileges or memberships that a plugin must "
                          "not have; drop them, or the role",
                          role));
}

Result<void> check_may_create(PGconn* connection) {
  auto user = ask(connection,
                  "SELECT rolsuper OR rolcreaterole, rolname FROM pg_roles WHERE rolname = "
                  "current_user");
  if (!user) return std::unexpected(std::move(user.error()));
  if (PQntuples(user->get()) == 1 && is_true(user->get(), 0)) return {};
  return fail(ErrorKind::kPermission,
              fmt::format("the database user {} of sql.url may not create roles, and each plugin "
                          "needs one; ALTER ROLE … CREATEROLE, or give the plugin a user of its "
                          "own with sql.plugin_urls",
                          PQgetvalue(user->get(), 0, 1)));
}

}  // namespace

std::string PostgresRoles::role_of(std::string_view plugin) {
  std::string out = std::string(kPrefix) + std::string(plugin);
  if (out.size() <= kLongestIdentifier && !out.contains('\0')) return out;
  return std::string(kPrefix) + hex_of(crypto_hash(HashAlgorithm::kSha256, plugin)).substr(0, 40);
}

std::string PostgresRoles::password_of(const std::string& role) const {
  return hex_of(crypto_hmac(HashAlgorithm::kSha256, options_.secret, "heddle sql role " + role));
}

Result<PostgresHandle> PostgresRoles::connect_as_role(const std::string& role,
                                                      int statement_timeout_ms) const {
  return open_postgres(options_.url,
                       {{"user", role},
                        {"password", password_of(role)},
                        {"connect_timeout", std::to_string(options_.connect_timeout_seconds)},
                        {"application_name", "heddle"},
                        {"options", session_options(role, statement_timeout_ms)}});
}

Result<PostgresHandle> PostgresRoles::connect(const std::string& plugin, int statement_timeout_ms) {
  if (const auto own = options_.plugin_urls.find(plugin); own != options_.plugin_urls.end()) {
    return open_postgres(own->second,
                         {{"connect_timeout", std::to_string(options_.connect_timeout_seconds)},
                          {"application_name", "heddle"},
                          {"options", session_options({}, statement_timeout_ms)}});
  }
  const std::string role = role_of(plugin);
  {
    const std::lock_guard lock(mutex_);
    if (!prepared_.contains(role)) {
      if (auto made = prepare(role); !made) return std::unexpected(std::move(made.error()));
      prepared_.insert(role);
    }
  }
  auto out = connect_as_role(role, statement_timeout_ms);
  if (!out) {
    // The role may be gone, or have another password: looked after again next time.
    const std::lock_guard lock(mutex_);
    prepared_.erase(role);
  }
  return out;
}

Result<void> PostgresRoles::prepare(const std::string& role) const {
  auto connection = open_postgres(
      options_.url, {{"connect_timeout", std::to_string(options_.connect_timeout_seconds)},
                     {"application_name", "heddle roles"}});
  if (!connection) return std::unexpected(std::move(connection.error()));
  PGconn* db = connection->get();
  bool exists = false;
  const std::string name = quoted(role);
  const std::string login = fmt::format("LOGIN PASSWORD '{}'", password_of(role));
  // Another server may do the same for the same database. The lock goes with the connection.
  auto step = ask(db, "SELECT pg_advisory_lock(hashtext('heddle plugin roles'))");
  if (auto checked = check_may_create(db); !checked) return checked;
  if (auto checked = check_existing(db, role, exists); !checked) return checked;
  std::vector<std::string> statements = {
      exists ? fmt::format("ALTER ROLE {} {}", name, login)
             : fmt::format("CREATE ROLE {} {} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION "
                           "NOBYPASSRLS NOINHERIT",
                           name, login),
      // Only a member may give a schema to a role.
      fmt::format("GRANT {} TO CURRENT_USER", name),
      fmt::format("CREATE SCHEMA IF NOT EXISTS {0} AUTHORIZATION {0}", name),
      fmt::format("REVOKE {} FROM CURRENT_USER", name),
  };
  for (const std::string& statement : statements) {
    if (step) step = ask(db, statement);
  }
  if (step) return {};
  return std::unexpected(
      std::move(step.error()).within(fmt::format("the database role {} cannot be made: ", role)));
}

}  // namespace heddle::services
