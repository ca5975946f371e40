// Values and errors of PostgreSQL in the words of services/sql.h.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/sql.h"

namespace heddle::services {

struct PostgresFinish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct PostgresClear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PostgresHandle = std::unique_ptr<PGconn, PostgresFinish>;
using PostgresResult = std::unique_ptr<PGresult, PostgresClear>;

// A parameter in text format; nothing: NULL.
std::optional<std::string> postgres_parameter(const SqlValue& value);
// Whole numbers, numbers, truth, bytea and json by their type; everything else (numeric, dates, …)
// as PostgreSQL's text.
SqlValue postgres_value(const PGresult* result, int row, int column);

// Of a failed result; kUnavailable when the connection broke.
Error postgres_error(const PGresult* result, const PGconn* connection);
// SQLSTATE of the failure, or empty.
std::string postgres_state(const PGresult* result);
// libpq's words without the line ends.
std::string postgres_words(const char* message);

}  // namespace heddle::services
