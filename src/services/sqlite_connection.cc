#include "services/sqlite_connection.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

#include "services/sqlite_functions.h"
#include "services/sqlite_temporary.h"

namespace heddle::services {
namespace {

constexpr int kStepsBetweenChecks = 100;
constexpr std::size_t kValueOverhead = 16;

bool is_blank(std::string_view rest) {
  // What may follow a statement: white space, semicolons and comments.
  while (!rest.empty()) {
    if (rest.starts_with("--")) {
      const std::size_t end = rest.find('\n');
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
    } else if (rest.starts_with("/*")) {
      const std::size_t end = rest.find("*/", 2);
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 2);
    } else if (rest.front() == ';' || std::isspace(static_cast<unsigned char>(rest.front())) != 0) {
      rest.remove_prefix(1);
    } else {
      return false;
    }
  }
  return true;
}

// Which parameter a placeholder stands for: `?` by its place, `$2` by its number.
std::optional<std::size_t> parameter_of(sqlite3_stmt* statement, int place) {
  const char* name = sqlite3_bind_parameter_name(statement, place);
  if (name == nullptr || *name == '?') return static_cast<std::size_t>(place);
  const std::string_view text(name);
  std::size_t number = 0;
  const auto [end, wrong] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
  if (text.front() != '$' || wrong != std::errc() || end != text.data() + text.size() ||
      number == 0) {
    return std::nullopt;
  }
  return number;
}

int bind_value(sqlite3_stmt* statement, int place, const SqlValue& value) {
  return std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        // The values outlive the statement's run.
        if constexpr (std::is_same_v<T, std::monostate>) {
          return sqlite3_bind_null(statement, place);
        } else if constexpr (std::is_same_v<T, bool>) {
          return sqlite3_bind_int(statement, place, v ? 1 : 0);
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          return sqlite3_bind_int64(statement, place, v);
        } else if constexpr (std::is_same_v<T, double>) {
          return sqlite3_bind_double(statement, place, v);
        } else if constexpr (std::is_same_v<T, SqlBlob>) {
          return sqlite3_bind_blob64(statement, place, v.bytes.data(), v.bytes.size(),
                                     SQLITE_STATIC);
        } else if constexpr (std::is_same_v<T, SqlJson>) {
          return sqlite3_bind_text64(statement, place, v.text.data(), v.text.size(), SQLITE_STATIC,
                                     SQLITE_UTF8);
        } else {
          return sqlite3_bind_text64(statement, place, v.data(), v.size(), SQLITE_STATIC,
                                     SQLITE_UTF8);
        }
      },
      value);
}

SqlValue value_at(sqlite3_stmt* statement, int column) {
  const auto bytes = [&](const void* data) {
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
    return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
  };
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return static_cast<std::int64_t>(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_TEXT:
      return bytes(sqlite3_column_text(statement, column));
    case SQLITE_BLOB:
      return SqlBlob{bytes(sqlite3_column_blob(statement, column))};
    default:
      return std::monostate{};
  }
}

}  // namespace

SqliteConnection::SqliteConnection(SqliteDatabase database, const SqlLimits& limits,
                                   std::uint64_t max_file_bytes)
    : limits_(limits), max_file_bytes_(max_file_bytes), database_(std::move(database)) {
  sqlite3_progress_handler(database_.get(), kStepsBetweenChecks, on_progress, this);
  sqlite3_busy_handler(database_.get(), on_busy, this);
  sqlite3_commit_hook(database_.get(), on_commit, this);
}

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(const std::string& path,
                                                                 const SqlLimits& limits,
                                                                 std::uint64_t max_file_bytes) {
  const auto files = bounded_temporary_files();
  if (!files) return std::unexpected(files.error());
  auto database = open_sqlite(path, *files);
  if (!database) return std::unexpected(std::move(database.error()));
  std::unique_ptr<SqliteConnection> out(
      new SqliteConnection(std::move(*database), limits, max_file_bytes));
  out->deadline_ = monotonic_now() + to_nanoseconds(limits.timeout);
  auto ready = guard_sqlite(out->database_.get(), limits, max_file_bytes, out->guard_);
  if (ready) ready = set_linear_functions(out->database_.get(), out->must_stop_);
  if (!ready) {
    return std::unexpected(std::move(ready.error()).within(fmt::format("file {}: ", path)));
  }
  return out;
}

bool SqliteConnection::must_stop() const {
  return monotonic_now() >= deadline_ || (cancelled_ != nullptr && (*cancelled_)());
}

int SqliteConnection::on_progress(void* self) {
  return static_cast<SqliteConnection*>(self)->must_stop() ? 1 : 0;
}

int SqliteConnection::on_busy(void* self, int tries) {
  if (static_cast<SqliteConnection*>(self)->must_stop()) return 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(std::min(1 + tries, 10)));
  return 1;
}

// A caller that is told of a failure must not find the change made after all.
int SqliteConnection::on_commit(void* self) {
  const auto* connection = static_cast<const SqliteConnection*>(self);
  return connection->refused_rows_ || connection->must_stop() ? 1 : 0;
}

Result<SqlResult> SqliteConnection::run(const SqlRequest& request, Nanoseconds deadline,
                                        const std::function<bool()>& cancelled) {
  deadline_ = deadline;
  cancelled_ = &cancelled;
  const TemporaryRoom room(max_file_bytes_);
  guard_.refused.clear();
  refused_rows_ = false;
  Result<SqlResult> out;
  {
    auto statement = prepare(request);
    if (!statement) {
      out = std::unexpected(std::move(statement.error()));
    } else if (auto bound = bind(statement->get(), request.parameters); !bound) {
      out = std::unexpected(std::move(bound.error()));
    } else {
      out = step(statement->get());
    }
  }
  cancelled_ = nullptr;
  return out;
}

Result<SqliteStatement> SqliteConnection::prepare(const SqlRequest& request) {
  sqlite3_stmt* raw = nullptr;
  const char* rest = nullptr;
  const std::string& text = request.statement;
  // With the size that includes the NUL, SQLite makes no copy of its own.
  const int code = sqlite3_prepare_v2(database_.get(), text.c_str(),
                                      static_cast<int>(text.size() + 1), &raw, &rest);
  SqliteStatement statement(raw);
  if (code != SQLITE_OK) return std::unexpected(explain(sqlite_error(database_.get())));
  if (raw == nullptr) return fail(ErrorKind::kInvalidArgument, "the statement is empty");
  if (!is_blank(std::string_view(text).substr(static_cast<std::size_t>(rest - text.c_str())))) {
    return fail(ErrorKind::kInvalidArgument,
                "more than one statement in a call; make one call for each");
  }
  if (request.access == SqlAccess::kRead && sqlite3_stmt_readonly(raw) == 0) {
    return fail(ErrorKind::kPermission,
                "the statement writes, and the plugin may only read (permissions.sql: read)");
  }
  return statement;
}

Result<void> SqliteConnection::bind(sqlite3_stmt* statement,
                                    const std::vector<SqlValue>& parameters) {
  const int places = sqlite3_bind_parameter_count(statement);
  std::size_t needed = 0;
  for (int place = 1; place <= places; ++place) {
    const auto number = parameter_of(statement, place);
    if (!number) {
      return fail(ErrorKind::kInvalidArgument,
                  fmt::format("placeholder {} is not understood; write ? or $1, $2",
                              sqlite3_bind_parameter_name(statement, place)));
    }
    needed = std::max(needed, *number);
    if (*number > parameters.size()) continue;
    if (bind_value(statement, place, parameters[*number - 1]) != SQLITE_OK) {
      return std::unexpected(explain(sqlite_error(database_.get())));
    }
  }
  if (needed == parameters.size()) return {};
  return fail(ErrorKind::kInvalidArgument,
              fmt::format("the statement has {} placeholders, and {} parameters came", needed,
                          parameters.size()));
}

Result<SqlResult> SqliteConnection::step(sqlite3_stmt* statement) {
  SqlResult out;
  const int columns = sqlite3_column_count(statement);
  for (int i = 0; i < columns; ++i) out.columns.emplace_back(sqlite3_column_name(statement, i));
  const auto before = sqlite3_total_changes64(database_.get());
  std::size_t bytes = 0;
  for (;;) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) break;
    if (code != SQLITE_ROW) return std::unexpected(explain(sqlite_error(database_.get())));
    if (auto read = read_row(statement, out, bytes); !read) {
      // With RETURNING everything is changed before the first row comes, and the end commits.
      refused_rows_ = true;
      sqlite3_reset(statement);
      return std::unexpected(std::move(read.error()));
    }
  }
  // The count of the last change stays when a statement changes nothing.
  if (sqlite3_total_changes64(database_.get()) != before) {
    out.affected = sqlite3_changes64(database_.get());
  }
  return out;
}

Result<void> SqliteConnection::read_row(sqlite3_stmt* statement, SqlResult& into,
                                        std::size_t& bytes) {
  if (into.rows.size() == limits_.max_rows) {
    return fail(ErrorKind::kLimit, fmt::format("the result has more than {} rows (sql.max_rows); "
                                               "ask for fewer with LIMIT",
                                               limits_.max_rows));
  }
  std::vector<SqlValue>& row = into.rows.emplace_back();
  row.reserve(into.columns.size());
  for (int i = 0; i < static_cast<int>(into.columns.size()); ++i) {
    row.push_back(value_at(statement, i));
    bytes += kValueOverhead + static_cast<std::size_t>(sqlite3_column_bytes(statement, i));
  }
  if (bytes <= limits_.max_bytes) return {};
  return fail(ErrorKind::kLimit, fmt::format("the result is larger than {} bytes (sql.max_bytes); "
                                             "ask for fewer columns or rows",
                                             limits_.max_bytes));
}

Error SqliteConnection::explain(Error error) const {
  if (!guard_.refused.empty()) return {ErrorKind::kPermission, guard_.refused};
  Error late = {ErrorKind::kTimeout, "the statement took longer than its time-out (sql.timeout)"};
  if (sqlite3_extended_errcode(database_.get()) == SQLITE_CONSTRAINT_COMMITHOOK) return late;
  switch (sqlite3_errcode(database_.get())) {
    case SQLITE_INTERRUPT:
      return late;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorKind::kTimeout, "another statement of the plugin kept the database locked"};
    case SQLITE_FULL:
      return {
          ErrorKind::kLimit,
          fmt::format("the database has no more room: it, or what the statement sorts and "
                      "gathers, is at its limit of {} bytes (sql.max_size), or the disk is full",
                      max_file_bytes_)};
    case SQLITE_TOOBIG:
      return {ErrorKind::kLimit,
              fmt::format("a text or blob is larger than {} bytes (sql.max_value)"
                          ", or the statement is too large",
                          limits_.max_value_bytes)};
    default:
      return error;
  }
}

}  // namespace heddle::services
