// For tests: a disk that loses what was not synced when its power goes. A file system for SQLite
// that keeps, for each file, how to take back every write since its last sync.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace heddle::messaging {

class LossyDisk {
 public:
  // While it lives, it is what SQLite opens files with.
  explicit LossyDisk(unsigned seed);
  ~LossyDisk();
  LossyDisk(const LossyDisk&) = delete;
  LossyDisk& operator=(const LossyDisk&) = delete;

  // From now on nothing is written; of each file a random part of what was not synced is lost: the
  // later writes.
  void cut_power();
  // When all files are closed.
  void restore_power();
  std::uint64_t lost_writes() const { return lost_writes_; }

 private:
  struct Undo {
    sqlite3_int64 offset = 0;
    std::string bytes;       // that were there
    sqlite3_int64 size = 0;  // that the file had
  };
  struct File;
  struct Methods;

  void take_back(const std::string& path, const Undo& undo);

  sqlite3_vfs vfs_{};
  sqlite3_vfs* real_;
  std::mutex mutex_;
  bool off_ = false;
  std::map<std::string, std::vector<Undo>> unsynced_;
  std::mt19937 chance_;
  std::uint64_t lost_writes_ = 0;
};

}  // namespace heddle::messaging
