// One plugin's connection to its SQLite file: runs one statement, with its limits. One thread at a
// time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "services/sql.h"
#include "services/sqlite_guard.h"
#include "services/sqlite_handle.h"

namespace heddle::services {

class SqliteConnection {
 public:
  // The error names the file.
  static Result<std::unique_ptr<SqliteConnection>> open(const std::string& path,
                                                        const SqlLimits& limits,
                                                        std::uint64_t max_file_bytes);
  // `cancelled` is asked while the statement runs, and ends it. `deadline`: monotonic.
  Result<SqlResult> run(const SqlRequest& request, Nanoseconds deadline,
                        const std::function<bool()>& cancelled);

 private:
  SqliteConnection(SqliteDatabase database, const SqlLimits& limits, std::uint64_t max_file_bytes);
  Result<SqliteStatement> prepare(const SqlRequest& request);
  Result<void> bind(sqlite3_stmt* statement, const std::vector<SqlValue>& parameters);
  Result<SqlResult> step(sqlite3_stmt* statement);
  Result<void> read_row(sqlite3_stmt* statement, SqlResult& into, std::size_t& bytes);
  Error explain(Error error) const;
  bool must_stop() const;
  static int on_progress(void* self);
  static int on_busy(void* self, int tries);
  static int on_commit(void* self);

  SqlLimits limits_;
  std::uint64_t max_file_bytes_;
  SqliteGuard guard_;
  const std::function<bool()> must_stop_ = [this] { return must_stop(); };
  SqliteDatabase database_;  // goes before what it refers to
  // Of the statement that runs:
  Nanoseconds deadline_ = 0;
  const std::function<bool()>* cancelled_ = nullptr;
  bool refused_rows_ = false;  // what it changed is undone with it
};

}  // namespace heddle::services
