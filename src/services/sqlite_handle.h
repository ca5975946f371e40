// SQLite's C handles with an owner, and its result codes as errors.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::services {

struct SqliteClose {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct SqliteFinalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using SqliteDatabase = std::unique_ptr<sqlite3, SqliteClose>;
using SqliteStatement = std::unique_ptr<sqlite3_stmt, SqliteFinalize>;

// Opens or makes the file, in a folder that is made too (for this user only), in WAL mode. One
// thread at a time may use it. `files`: SQLite's name of a file system; null: the usual one. The
// error names the file.
Result<SqliteDatabase> open_sqlite(const std::string& path, const char* files = nullptr);

// Statements of Heddle itself, without results.
Result<void> sqlite_execute(sqlite3* database, const std::string& statements);
Result<SqliteStatement> sqlite_prepare(sqlite3* database, std::string_view statement);

// The last failure of `database`: SQLite's words, with the kind that its code stands for.
Error sqlite_error(sqlite3* database);

}  // namespace heddle::services
