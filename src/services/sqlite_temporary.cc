#include "services/sqlite_temporary.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>

namespace heddle::services {
namespace {

constexpr int kTemporary = SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TRANSIENT_DB |
                           SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_SUBJOURNAL;

// Of the statement that runs on this thread.
struct Room {
  std::uint64_t limit = 0;
  std::uint64_t used = 0;
  bool bounded = false;
};
thread_local Room room;

// What SQLite has in the place of a temporary file; the real one lies behind it, aligned as SQLite
// aligns files: to eight bytes.
struct File {
  sqlite3_file base;
  std::uint64_t size;

  static File& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(&of(file) + 1);
  }
};
static_assert(sizeof(File) % 8 == 0);

void give_back(std::uint64_t bytes) {
  room.used -= std::min(room.used, bytes);
}

int close(sqlite3_file* file) {
  give_back(File::of(file).size);
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xClose(real);
}

int read(sqlite3_file* file, void* into, int bytes, sqlite3_int64 at) {
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xRead(real, into, bytes, at);
}

int write(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 at) {
  std::uint64_t& size = File::of(file).size;
  const std::uint64_t end = static_cast<std::uint64_t>(at) + static_cast<std::uint64_t>(bytes);
  if (end > size) {
    if (room.bounded && end - size > room.limit - std::min(room.used, room.limit)) {
      return SQLITE_FULL;
    }
    room.used += end - size;
    size = end;
  }
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xWrite(real, from, bytes, at);
}

int truncate(sqlite3_file* file, sqlite3_int64 bytes) {
  std::uint64_t& size = File::of(file).size;
  const auto wanted = static_cast<std::uint64_t>(bytes);
  if (wanted < size) {
    give_back(size - wanted);
    size = wanted;
  }
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xTruncate(real, bytes);
}

int sync(sqlite3_file* file, int flags) {
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xSync(real, flags);
}

int file_size(sqlite3_file* file, sqlite3_int64* out) {
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xFileSize(real, out);
}

int lock(sqlite3_file* file, int level) {
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xLock(real, level);
}

int unlock(sqlite3_file* file, int level) {
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xUnlock(real, level);
}

int check_reserved_lock(sqlite3_file* file, int* out) {
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xCheckReservedLock(real, out);
}

int file_control(sqlite3_file* file, int operation, void* argument) {
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xFileControl(real, operation, argument);
}

int sector_size(sqlite3_file* file) {
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xSectorSize(real);
}

int device_characteristics(sqlite3_file* file) {
  sqlite3_file* const real = File::real(file);
  return real->pMethods->xDeviceCharacteristics(real);
}

// Version 1: without what maps files into memory or shares them.
constexpr sqlite3_io_methods kMethods = {
    .iVersion = 1,
    .xClose = &close,
    .xRead = &read,
    .xWrite = &write,
    .xTruncate = &truncate,
    .xSync = &sync,
    .xFileSize = &file_size,
    .xLock = &lock,
    .xUnlock = &unlock,
    .xCheckReservedLock = &check_reserved_lock,
    .xFileControl = &file_control,
    .xSectorSize = &sector_size,
    .xDeviceCharacteristics = &device_characteristics,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

// Other files are the real ones, at the same address.
int open(sqlite3_vfs* /*files*/, sqlite3_filename name, sqlite3_file* file, int flags, int* out) {
  sqlite3_vfs* const real = sqlite3_vfs_find(nullptr);
  if ((flags & kTemporary) == 0) return real->xOpen(real, name, file, flags, out);
  File::of(file).base.pMethods = nullptr;
  File::of(file).size = 0;
  const int opened = real->xOpen(real, name, File::real(file), flags, out);
  // SQLite closes a file that has methods, though it could not be opened.
  if (File::real(file)->pMethods != nullptr) File::of(file).base.pMethods = &kMethods;
  return opened;
}

// The real one but for open().
struct Files {
  Files() : vfs(*sqlite3_vfs_find(nullptr)) {
    vfs.zName = "heddle-bounded";
    vfs.szOsFile += static_cast<int>(sizeof(File));
    vfs.xOpen = &open;
    vfs.pNext = nullptr;
    code = sqlite3_vfs_register(&vfs, 0);
  }
  sqlite3_vfs vfs;
  int code;
};

}  // namespace

Result<const char*> bounded_temporary_files() {
  static Files files;
  if (files.code == SQLITE_OK) return files.vfs.zName;
  return fail(ErrorKind::kInternal, fmt::format("SQLite takes no file system of Heddle's ({})",
                                                sqlite3_errstr(files.code)));
}

TemporaryRoom::TemporaryRoom(std::uint64_t bytes) {
  room = {.limit = bytes, .used = 0, .bounded = true};
}

TemporaryRoom::~TemporaryRoom() {
  room = {};
}

}  // namespace heddle::services
