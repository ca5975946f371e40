// A bound for the files in which SQLite sorts and gathers what does not fit into memory. They have
// no name and no limit of SQLite's own, so a statement of a reader could fill the disk.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace heddle::services {

// The file system of SQLite (sqlite3_open_v2) whose temporary files are bounded. Any thread.
Result<const char*> bounded_temporary_files();

// While it lives, the temporary files that SQLite makes on this thread have so many bytes
// together; writing more fails as if the disk were full (SQLITE_FULL).
class TemporaryRoom {
 public:
  explicit TemporaryRoom(std::uint64_t bytes);
  ~TemporaryRoom();
  TemporaryRoom(const TemporaryRoom&) = delete;
  TemporaryRoom& operator=(const TemporaryRoom&) = delete;
};

}  // namespace heddle::services
