#include "services/sqlite_handle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace heddle::services {
namespace {

ErrorKind kind_of(int code) {
  switch (code) {
    case SQLITE_CONSTRAINT:
      return ErrorKind::kConflict;
    case SQLITE_AUTH:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return ErrorKind::kPermission;
    case SQLITE_FULL:
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM:
      return ErrorKind::kLimit;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
      return ErrorKind::kTimeout;
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_CANTOPEN:
    case SQLITE_NOTADB:
    case SQLITE_PROTOCOL:
      return ErrorKind::kIo;
    default:
      return ErrorKind::kInvalidArgument;
  }
}

Result<void> make_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) return {};
  std::error_code failed;
  if (std::filesystem::create_directories(folder, failed)) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
  }
  if (!failed) return {};
  return fail(ErrorKind::kIo, fmt::format("folder {} cannot be made ({}); make it, or set data_dir",
                                          folder.string(), failed.message()));
}

// For this user only: SQLite would let others read it, as the folder may. Its further files (-wal,
// -shm) get the mode of this one.
void make_private_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file >= 0) ::close(file);
}

}  // namespace

Error sqlite_error(sqlite3* database) {
  const int code = sqlite3_extended_errcode(database);
  return {kind_of(code & 0xff), sqlite3_errmsg(database)};
}

Result<SqliteDatabase> open_sqlite(const std::string& path, const char* files) {
  if (auto made = make_folder_of(path); !made) return std::unexpected(std::move(made.error()));
  make_private_file(path);
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, files);
  SqliteDatabase database(raw);
  if (opened != SQLITE_OK) {
    return fail(ErrorKind::kIo,
                fmt::format("file {} cannot be opened ({})", path, sqlite3_errstr(opened)));
  }
  // Several connections to one file change its journal mode one after the other.
  sqlite3_busy_timeout(raw, 2'000);
  if (auto wal = sqlite_execute(raw, "PRAGMA journal_mode=WAL; PRAGMA journal_size_limit=4194304");
      !wal) {
    return std::unexpected(std::move(wal.error()).within(fmt::format("file {}: ", path)));
  }
  return database;
}

Result<void> sqlite_execute(sqlite3* database, const std::string& statements) {
  if (sqlite3_exec(database, statements.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return std::unexpected(sqlite_error(database));
}

Result<SqliteStatement> sqlite_prepare(sqlite3* database, std::string_view statement) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database, statement.data(), static_cast<int>(statement.size()), &raw,
                         nullptr) != SQLITE_OK) {
    return std::unexpected(sqlite_error(database));
  }
  return SqliteStatement(raw);
}

}  // namespace heddle::services
