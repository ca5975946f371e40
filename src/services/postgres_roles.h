// The database role of each plugin, which is what keeps it to its own schema: a role that may log
// in, with no membership and no privilege but on the schema `heddle_plugin_<name>` that it owns.
// Plugins' statements run on connections that were opened as that role. (SET ROLE on a connection
// of a stronger user would be no fence: any statement may say RESET ROLE.)
//
// Everything here blocks; any thread but a worker.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "services/postgres_values.h"

namespace heddle::services {

struct PostgresRoleOptions {
  std::string url;     // of a user that may create roles, and schemas in this database
  std::string secret;  // the passwords of the roles are derived from it
  // Plugins that have a URL of their own, whose user the operator made: nothing is created, and
  // its privileges are the fence.
  std::map<std::string, std::string> plugin_urls;
  int connect_timeout_seconds = 5;
};

class PostgresRoles {
 public:
  explicit PostgresRoles(PostgresRoleOptions options) : options_(std::move(options)) {}

  // A connection as the plugin's role, in its schema; both are made when they are not there.
  Result<PostgresHandle> connect(const std::string& plugin, int statement_timeout_ms);

  // "heddle_plugin_notes"; names too long for PostgreSQL get a hash.
  static std::string role_of(std::string_view plugin);

 private:
  Result<PostgresHandle> connect_as_role(const std::string& role, int statement_timeout_ms) const;
  Result<void> prepare(const std::string& role) const;
  std::string password_of(const std::string& role) const;

  const PostgresRoleOptions options_;
  std::mutex mutex_;
  std::set<std::string> prepared_;  // guarded by mutex_
};

}  // namespace heddle::services
