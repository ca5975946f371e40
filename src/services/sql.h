// SQL for plugins: one statement at a time, each a transaction of its own, in a database file
// (sql_sqlite.h) or a schema (sql_postgres.h) that belongs to the plugin alone. Parameters are
// bound and never become text of the statement.
//
// A call is made on a worker and answered there, as an event of its own; the worker never waits.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "services/pending_call.h"

namespace heddle::services {

enum class SqlAccess : std::uint8_t { kNone, kRead, kWrite };

struct SqlBlob {
  std::string bytes;
  bool operator==(const SqlBlob&) const = default;
};
struct SqlJson {  // a document, as its text
  std::string text;
  bool operator==(const SqlJson&) const = default;
};
// NULL, truth, whole number, number, text, bytes, document.
using SqlValue =
    std::variant<std::monostate, bool, std::int64_t, double, std::string, SqlBlob, SqlJson>;

struct SqlRequest {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  std::string plugin = {};
  SqlAccess access = SqlAccess::kNone;  // what the plugin is permitted
  // Placeholders: `?`, or `$1`, `$2`… (not both), on either database.
  std::string statement = {};
  std::vector<SqlValue> parameters = {};
  std::chrono::milliseconds timeout{0};  // 0, or longer than the service's own: the service's own
  // NOLINTEND(readability-redundant-member-init)
};

struct SqlResult {
  std::vector<std::string> columns;
  std::vector<std::vector<SqlValue>> rows;  // each as long as `columns`
  std::int64_t affected = 0;                // rows changed by INSERT, UPDATE, DELETE
};

// Bounds of one call; every one is a setting (config `sql`).
struct SqlLimits {
  std::chrono::milliseconds timeout{2'000};  // from the call to its answer, waiting included
  std::size_t max_rows = 10'000;
  std::size_t max_bytes = std::size_t{4} << 20U;        // of a result
  std::size_t max_value_bytes = std::size_t{1} << 20U;  // one text or blob, in SQLite
  std::size_t max_statement_bytes = std::size_t{64} << 10U;
  std::size_t max_parameters = 1'000;
  std::size_t max_waiting = 1'000;  // calls of one plugin that wait for a connection
};

class Sql {
 public:
  using Callback = Completion<SqlResult>::Callback;

  virtual ~Sql() = default;
  // Errors: kPermission (SQL is denied, or the statement reaches outside), kInvalidArgument (the
  // database refused the statement), kConflict (a constraint), kLimit (rows, bytes, size of the
  // database, waiting calls), kTimeout, kUnavailable (the database cannot be reached).
  [[nodiscard]] virtual Pending run(net::Worker& worker, SqlRequest request, Callback done) = 0;
};

}  // namespace heddle::services
