#include "messaging/sqlite_query.h"

namespace heddle::messaging {

Result<Query> Query::prepare(sqlite3* database, std::string_view sql) {
  auto statement = services::sqlite_prepare(database, sql);
  if (!statement) return std::unexpected(std::move(statement.error()));
  Query out;
  out.statement_ = std::move(*statement);
  return out;
}

Result<bool> Query::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  // The error is read before the reset; a statement that is not reset holds its locks.
  Result<bool> out = false;
  if (code != SQLITE_DONE) {
    out = std::unexpected(services::sqlite_error(sqlite3_db_handle(statement_.get())));
  }
  sqlite3_reset(statement_.get());
  return out;
}

Result<void> Query::run() {
  auto stepped = step();
  if (!stepped) return std::unexpected(std::move(stepped.error()));
  finish();
  return {};
}

std::uint64_t Query::number(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
}

std::string Query::bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

void Query::bind(int place, Null /*value*/) {
  sqlite3_bind_null(statement_.get(), place);
}

void Query::bind(int place, Blob value) {
  // A null pointer would be NULL; an empty string is an empty BLOB.
  sqlite3_bind_blob64(statement_.get(), place, value.bytes.empty() ? "" : value.bytes.data(),
                      value.bytes.size(), SQLITE_STATIC);
}

void Query::bind(int place, std::string_view value) {
  sqlite3_bind_text64(statement_.get(), place, value.empty() ? "" : value.data(), value.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
}

void Query::bind(int place, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), place, value);
}

}  // namespace heddle::messaging
