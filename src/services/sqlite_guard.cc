#include "services/sqlite_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

namespace heddle::services {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

// Those that only tell of the plugin's own schema, or check it.
constexpr auto kPragmas = std::to_array<std::string_view>(
    {"foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo",
     "integrity_check", "quick_check", "table_info", "table_list", "table_xinfo", "user_version",
     "data_version", "optimize"});
// Modules of virtual tables whose data is in the same file.
constexpr auto kModules =
    std::to_array<std::string_view>({"fts5", "fts5vocab", "fts4", "fts3", "rtree", "rtree_i32"});
constexpr auto kFunctions =
    std::to_array<std::string_view>({"load_extension", "fts3_tokenizer", "sqlite_log"});

constexpr const char* kTemporary =
    "temporary tables and the like are not permitted to plugins, since the next call may run on "
    "another connection";

bool listed(const auto& list, const char* name) {
  return name != nullptr && std::ranges::any_of(list, [name](std::string_view each) {
           return sqlite3_stricmp(std::string(each).c_str(), name) == 0;
         });
}

// What is wrong with an action; empty: nothing.
std::string objection(int action, const char* first, const char* second,
                      std::string_view database) {
  const char* name = first == nullptr ? "" : first;
  switch (action) {
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
      return "ATTACH, DETACH and VACUUM reach other files; a plugin has one database";
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return "BEGIN, COMMIT, ROLLBACK and SAVEPOINT have no effect beyond one call; every "
             "statement "
             "is a transaction of its own";
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW:
      return kTemporary;
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_VIEW:
      return database == "temp" ? kTemporary : "";
    case SQLITE_PRAGMA:
      if (listed(kPragmas, name)) return {};
      return fmt::format("PRAGMA {} is not permitted to plugins", name);
    case SQLITE_FUNCTION:
      if (!listed(kFunctions, second)) return {};
      return fmt::format("function {} is not permitted to plugins", second);
    case SQLITE_CREATE_VTABLE:
      if (database == "temp") return kTemporary;
      if (listed(kModules, second)) return {};
      return fmt::format("virtual tables of module {} are not permitted to plugins", second);
    default:
      return {};
  }
}

int authorize(void* context, int action, const char* first, const char* second,
              const char* database, const char* /*trigger*/) {
  std::string wrong = objection(action, first, second, database == nullptr ? "" : database);
  if (wrong.empty()) return SQLITE_OK;
  static_cast<SqliteGuard*>(context)->refused = std::move(wrong);
  return SQLITE_DENY;
}

}  // namespace

Result<void> guard_sqlite(sqlite3* database, const SqlLimits& limits, std::uint64_t max_file_bytes,
                          SqliteGuard& guard) {
  const std::uint64_t pages = std::max<std::uint64_t>(max_file_bytes / kPageBytes, 8);
  if (auto set = sqlite_execute(
          database, fmt::format("PRAGMA max_page_count={0}; PRAGMA temp.max_page_count={0};"
                                "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL;"
                                "PRAGMA mmap_size=0; PRAGMA cell_size_check=ON",
                                pages));
      !set) {
    return set;
  }
  for (const auto& [option, value] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                      {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                                      {SQLITE_DBCONFIG_DQS_DML, 0},
                                      {SQLITE_DBCONFIG_DQS_DDL, 0}}) {
    sqlite3_db_config(database, option, value, nullptr);
  }
  for (const auto& [option, value] : {std::pair{SQLITE_LIMIT_LENGTH, limits.max_value_bytes},
                                      {SQLITE_LIMIT_SQL_LENGTH, limits.max_statement_bytes},
                                      {SQLITE_LIMIT_VARIABLE_NUMBER, limits.max_parameters},
                                      {SQLITE_LIMIT_ATTACHED, std::size_t{0}},
                                      {SQLITE_LIMIT_WORKER_THREADS, std::size_t{0}},
                                      {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, std::size_t{200}},
                                      {SQLITE_LIMIT_TRIGGER_DEPTH, std::size_t{32}},
                                      {SQLITE_LIMIT_EXPR_DEPTH, std::size_t{200}},
                                      {SQLITE_LIMIT_VDBE_OP, std::size_t{1'000'000}}}) {
    sqlite3_limit(database, option, static_cast<int>(value));
  }
  sqlite3_set_authorizer(database, authorize, &guard);
  return {};
}

}  // namespace heddle::services
