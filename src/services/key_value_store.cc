#include "services/key_value_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>
#include <variant>

namespace heddle::services {
namespace {

using Parameter = std::variant<std::string_view, std::int64_t>;

constexpr const char* kSchema =
    "PRAGMA synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS state (plugin BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT "
    "NULL,"
    " UNIQUE (plugin, key));"
    "CREATE TABLE IF NOT EXISTS used (plugin BLOB PRIMARY KEY, bytes INTEGER NOT NULL)";

// Prepared and bound; keys and values are bytes, so that NUL and any encoding are kept. The
// parameters outlive the statement.
Result<SqliteStatement> prepared(sqlite3* database, std::string_view text,
                                 std::initializer_list<Parameter> parameters) {
  auto statement = sqlite_prepare(database, text);
  if (!statement) return statement;
  int place = 0;
  for (const Parameter& parameter : parameters) {
    ++place;
    if (const auto* number = std::get_if<std::int64_t>(&parameter)) {
      sqlite3_bind_int64(statement->get(), place, *number);
      continue;
    }
    const std::string_view bytes = std::get<std::string_view>(parameter);
    // A null pointer would bind NULL.
    sqlite3_bind_blob64(statement->get(), place, bytes.empty() ? "" : bytes.data(), bytes.size(),
                        SQLITE_STATIC);
  }
  return statement;
}

std::string bytes_at(sqlite3_stmt* statement, int column) {
  const void* data = sqlite3_column_blob(statement, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

// Runs a statement without rows; the number of rows it changed.
Result<int> change(sqlite3* database, std::string_view text,
                   std::initializer_list<Parameter> parameters) {
  auto statement = prepared(database, text, parameters);
  if (!statement) return std::unexpected(std::move(statement.error()));
  if (sqlite3_step(statement->get()) != SQLITE_DONE) return std::unexpected(sqlite_error(database));
  return sqlite3_changes(database);
}

// One whole number, or `otherwise` when there is no row.
Result<std::int64_t> number(sqlite3* database, std::string_view text,
                            std::initializer_list<Parameter> parameters, std::int64_t otherwise) {
  auto statement = prepared(database, text, parameters);
  if (!statement) return std::unexpected(std::move(statement.error()));
  const int code = sqlite3_step(statement->get());
  if (code == SQLITE_ROW) return sqlite3_column_int64(statement->get(), 0);
  if (code == SQLITE_DONE) return otherwise;
  return std::unexpected(sqlite_error(database));
}

// The first text after all that begin with `prefix`; empty: there is none.
std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

}  // namespace

Result<std::unique_ptr<KeyValueStore>> KeyValueStore::open(const std::string& path,
                                                           const KeyValueLimits& limits) {
  auto database = open_sqlite(path);
  if (!database) return std::unexpected(std::move(database.error()));
  if (auto made = sqlite_execute(database->get(), kSchema); !made) {
    return std::unexpected(std::move(made.error()).within(fmt::format("file {}: ", path)));
  }
  return std::unique_ptr<KeyValueStore>(new KeyValueStore(std::move(*database), limits));
}

Result<void> KeyValueStore::begin() {
  return sqlite_execute(database_.get(), "BEGIN IMMEDIATE");
}
Result<void> KeyValueStore::commit() {
  return sqlite_execute(database_.get(), "COMMIT");
}
void KeyValueStore::roll_back() {
  (void)sqlite_execute(database_.get(), "ROLLBACK");
}

Result<KeyValue::Value> KeyValueStore::get(const std::string& plugin, const std::string& key) {
  auto statement = prepared(database_.get(), "SELECT value FROM state WHERE plugin = ? AND key = ?",
                            {plugin, key});
  if (!statement) return std::unexpected(std::move(statement.error()));
  const int code = sqlite3_step(statement->get());
  if (code == SQLITE_ROW) return bytes_at(statement->get(), 0);
  if (code == SQLITE_DONE) return std::nullopt;
  return std::unexpected(sqlite_error(database_.get()));
}

Result<std::int64_t> KeyValueStore::size_of(const std::string& plugin, const std::string& key) {
  return number(database_.get(),
                "SELECT length(key) + length(value) FROM state WHERE plugin = ? AND key = ?",
                {plugin, key}, -1);
}

Result<std::int64_t> KeyValueStore::used_by(const std::string& plugin) {
  return number(database_.get(), "SELECT bytes FROM used WHERE plugin = ?", {plugin}, 0);
}

Result<void> KeyValueStore::add_used(const std::string& plugin, std::int64_t bytes) {
  auto added =
      change(database_.get(),
             "INSERT INTO used VALUES (?1, ?2) ON CONFLICT DO UPDATE SET bytes = bytes + ?2",
             {plugin, bytes});
  if (!added) return std::unexpected(std::move(added.error()));
  return {};
}

Result<KeyValue::Done> KeyValueStore::set(const std::string& plugin, const std::string& key,
                                          const std::string& value) {
  const auto former = size_of(plugin, key);
  const auto used = used_by(plugin);
  if (!former) return std::unexpected(former.error());
  if (!used) return std::unexpected(used.error());
  const std::int64_t growth =
      static_cast<std::int64_t>(key.size() + value.size()) - std::max<std::int64_t>(*former, 0);
  if (growth > 0 && *used + growth > static_cast<std::int64_t>(limits_.max_plugin_bytes)) {
    return fail(ErrorKind::kLimit,
                fmt::format("the plugin's state would be larger than {} bytes (state.max_size)",
                            limits_.max_plugin_bytes));
  }
  if (auto added = add_used(plugin, growth); !added) return std::unexpected(added.error());
  auto written = change(
      database_.get(), "INSERT INTO state VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = ?3",
      {plugin, key, value});
  if (!written) return std::unexpected(std::move(written.error()));
  return KeyValue::Done{};
}

Result<bool> KeyValueStore::remove(const std::string& plugin, const std::string& key) {
  const auto former = size_of(plugin, key);
  if (!former) return std::unexpected(former.error());
  if (*former < 0) return false;
  if (auto added = add_used(plugin, -*former); !added) return std::unexpected(added.error());
  auto removed =
      change(database_.get(), "DELETE FROM state WHERE plugin = ? AND key = ?", {plugin, key});
  if (!removed) return std::unexpected(std::move(removed.error()));
  return true;
}

Result<KeyValue::Keys> KeyValueStore::list(const std::string& plugin, const std::string& prefix,
                                           const std::string& after, std::size_t count) {
  const std::string end = after_prefix(prefix);
  auto statement =
      prepared(database_.get(),
               "SELECT key FROM state WHERE plugin = ?1 AND key >= ?2 AND key > ?3 AND "
               "(length(?4) = 0 OR key < ?4) ORDER BY key LIMIT ?5",
               {plugin, prefix, after, end, static_cast<std::int64_t>(count)});
  if (!statement) return std::unexpected(std::move(statement.error()));
  KeyValue::Keys out;
  for (;;) {
    const int code = sqlite3_step(statement->get());
    if (code == SQLITE_DONE) return out;
    if (code != SQLITE_ROW) return std::unexpected(sqlite_error(database_.get()));
    out.push_back(bytes_at(statement->get(), 0));
  }
}

Result<KeyValue::Done> KeyValueStore::clear(const std::string& plugin) {
  for (const char* statement :
       {"DELETE FROM state WHERE plugin = ?", "DELETE FROM used WHERE plugin = ?"}) {
    if (auto done = change(database_.get(), statement, {plugin}); !done) {
      return std::unexpected(std::move(done.error()));
    }
  }
  return KeyValue::Done{};
}

}  // namespace heddle::services
