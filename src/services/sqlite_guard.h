// What keeps a plugin's statements inside its own file: SQLite's authorizer, limits, and switches
// that SQLite's page "Defense Against The Dark Arts" asks for.
#pragma once

#include <cstdint>
#include <string>

#include "services/sql.h"
#include "services/sqlite_handle.h"

namespace heddle::services {

// Belongs to one connection, at a stable address, and lives as long.
struct SqliteGuard {
  std::string refused;  // what the authorizer refused last, in words; empty: nothing
};

// `max_file_bytes`: what the database may grow to; statements beyond it fail (SQLITE_FULL).
Result<void> guard_sqlite(sqlite3* database, const SqlLimits& limits, std::uint64_t max_file_bytes,
                          SqliteGuard& guard);

}  // namespace heddle::services
