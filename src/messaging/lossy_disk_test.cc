// What was acknowledged is there after the power went, on a disk that loses what was not synced.
#include "messaging/lossy_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include "messaging/sqlite_storage.h"
#include "messaging/test_storage.h"

namespace heddle::messaging {

struct LossyDisk::File : sqlite3_file {
  LossyDisk* disk;
  char path[512];
  sqlite3_file* real;  // in the room behind this
};

struct LossyDisk::Methods {
  static File& of(sqlite3_file* file) { return *static_cast<File*>(file); }
  static const sqlite3_io_methods& real(sqlite3_file* file) { return *of(file).real->pMethods; }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    auto& disk = *static_cast<LossyDisk*>(vfs->pAppData);
    File& mine = of(file);
    mine.disk = &disk;
    mine.real = reinterpret_cast<sqlite3_file*>(&mine + 1);
    mine.path[0] = '\0';
    if (name != nullptr) std::string_view(name).copy(mine.path, sizeof mine.path - 1);
    if (name != nullptr) mine.path[std::string_view(name).size()] = '\0';
    const int code = disk.real_->xOpen(disk.real_, name, mine.real, flags, out);
    mine.pMethods = code == SQLITE_OK ? &kTable : nullptr;
    return code;
  }
  static int remove(sqlite3_vfs* vfs, const char* name, int sync) {
    auto& disk = *static_cast<LossyDisk*>(vfs->pAppData);
    const std::lock_guard lock(disk.mutex_);
    if (disk.off_) return SQLITE_IOERR_DELETE;
    disk.unsynced_.erase(name);
    return disk.real_->xDelete(disk.real_, name, sync);
  }

  static int close(sqlite3_file* file) { return real(file).xClose(of(file).real); }
  static int read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
    return real(file).xRead(of(file).real, to, size, offset);
  }
  static Undo undo_of(sqlite3_file* file, sqlite3_int64 offset, sqlite3_int64 size) {
    Undo out{.offset = offset, .bytes = {}, .size = 0};
    real(file).xFileSize(of(file).real, &out.size);
    const sqlite3_int64 there = std::clamp<sqlite3_int64>(out.size - offset, 0, size);
    out.bytes.resize(static_cast<std::size_t>(there));
    if (there > 0) read(file, out.bytes.data(), static_cast<int>(there), offset);
    return out;
  }
  static int write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
    LossyDisk& disk = *of(file).disk;
    const std::lock_guard lock(disk.mutex_);
    if (disk.off_) return SQLITE_IOERR_WRITE;
    disk.unsynced_[of(file).path].push_back(undo_of(file, offset, size));
    return real(file).xWrite(of(file).real, from, size, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    LossyDisk& disk = *of(file).disk;
    const std::lock_guard lock(disk.mutex_);
    if (disk.off_) return SQLITE_IOERR_TRUNCATE;
    sqlite3_int64 before = 0;
    real(file).xFileSize(of(file).real, &before);
    if (before > size) {
      disk.unsynced_[of(file).path].push_back(undo_of(file, size, before - size));
    }
    return real(file).xTruncate(of(file).real, size);
  }
  static int sync(sqlite3_file* file, int flags) {
    LossyDisk& disk = *of(file).disk;
    const std::lock_guard lock(disk.mutex_);
    if (disk.off_) return SQLITE_IOERR_FSYNC;
    disk.unsynced_.erase(of(file).path);
    return real(file).xSync(of(file).real, flags);
  }
  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    return real(file).xFileSize(of(file).real, size);
  }
  static int lock(sqlite3_file* file, int level) { return real(file).xLock(of(file).real, level); }
  static int unlock(sqlite3_file* file, int level) {
    return real(file).xUnlock(of(file).real, level);
  }
  static int check_lock(sqlite3_file* file, int* out) {
    return real(file).xCheckReservedLock(of(file).real, out);
  }
  static int control(sqlite3_file* file, int operation, void* argument) {
    return real(file).xFileControl(of(file).real, operation, argument);
  }
  static int sector_size(sqlite3_file* file) { return real(file).xSectorSize(of(file).real); }
  // It promises nothing beyond what is synced.
  static int characteristics(sqlite3_file* /*file*/) { return 0; }
  static int shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
    return real(file).xShmMap(of(file).real, region, size, extend, out);
  }
  static int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
    return real(file).xShmLock(of(file).real, offset, count, flags);
  }
  static void shm_barrier(sqlite3_file* file) { real(file).xShmBarrier(of(file).real); }
  static int shm_unmap(sqlite3_file* file, int remove) {
    return real(file).xShmUnmap(of(file).real, remove);
  }

  static constexpr sqlite3_io_methods kTable = {2,
                                                &close,
                                                &read,
                                                &write,
                                                &truncate,
                                                &sync,
                                                &file_size,
                                                &lock,
                                                &unlock,
                                                &check_lock,
                                                &control,
                                                &sector_size,
                                                &characteristics,
                                                &shm_map,
                                                &shm_lock,
                                                &shm_barrier,
                                                &shm_unmap,
                                                nullptr,
                                                nullptr};
};

LossyDisk::LossyDisk(unsigned seed) : real_(sqlite3_vfs_find(nullptr)), chance_(seed) {
  vfs_ = *real_;
  vfs_.zName = "lossy";
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
  vfs_.pAppData = this;
  vfs_.xOpen = &Methods::open;
  vfs_.xDelete = &Methods::remove;
  sqlite3_vfs_register(&vfs_, 1);
}

LossyDisk::~LossyDisk() {
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(real_, 1);
}

void LossyDisk::take_back(const std::string& path, const Undo& undo) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t done = pwrite(fd, undo.bytes.data(), undo.bytes.size(), undo.offset);
  EXPECT_EQ(done, static_cast<ssize_t>(undo.bytes.size()));
  EXPECT_EQ(ftruncate(fd, undo.size), 0);
  ::close(fd);
}

void LossyDisk::cut_power() {
  const std::lock_guard lock(mutex_);
  off_ = true;
  for (auto& [path, writes] : unsynced_) {
    const std::size_t kept = std::uniform_int_distribution<std::size_t>(0, writes.size())(chance_);
    while (writes.size() > kept) {
      take_back(path, writes.back());
      writes.pop_back();
      ++lost_writes_;
    }
  }
  unsynced_.clear();
}

void LossyDisk::restore_power() {
  const std::lock_guard lock(mutex_);
  off_ = false;
}

namespace {

using Known = std::map<std::uint64_t, std::string>;  // by number

class PowerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "heddle-power-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  void TearDown() override {
    storage_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open() {
    auto made = make_sqlite_storage(folder_ + "/m.db", {}, *log_, metrics_);
    ASSERT_TRUE(made) << made.error().message;
    storage_ = std::move(*made);
    auto channel = wait_for<OpenedChannel>([&](auto done) {
      storage_->open_channel(std::string(kChannelIdBytes, 'c'), key('s'), key('r'),
                             std::move(done));
    });
    ASSERT_TRUE(channel);
    channel_ = channel->channel.number;
  }
  // Until the disk is gone; what was acknowledged.
  Known send(const std::string& recipient, const std::string& name) {
    Known known;
    for (int i = 0;; ++i) {
      auto place = wait_for<std::unique_ptr<Reservation>>(
          [&](auto done) { storage_->reserve(recipient, std::move(done)); });
      if (!place) return known;
      const std::string body = name + std::to_string(i);
      auto receipt = wait_for<Receipt>([&](auto done) {
        (*place)->store({.recipient_key = recipient,
                         .channel = channel_,
                         .sender_key = key('s'),
                         .body = body,
                         .sent_at = 1'000},
                        std::move(done));
      });
      if (!receipt) return known;
      known[receipt->seq] = body;
    }
  }
  Known fetch(const std::string& recipient) {
    Known out;
    while (true) {
      auto found = wait_for<std::vector<StoredMessage>>([&](auto done) {
        storage_->fetch({.recipient_key = recipient,
                         .after = out.empty() ? 0 : out.rbegin()->first,
                         .limit = 1'000,
                         .max_bytes = std::size_t{1} << 20U},
                        std::move(done));
      });
      EXPECT_TRUE(found);
      if (!found || found->empty()) return out;
      for (StoredMessage& each : *found) out[each.seq] = std::move(each.body);
    }
  }

  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  std::string folder_;
  std::unique_ptr<Storage> storage_;
  std::uint64_t channel_ = 0;
};

TEST_F(PowerTest, WhatWasAcknowledgedIsThereWhenThePowerIsBack) {
  const bool soak = std::getenv("HEDDLE_SOAK") != nullptr;
  const int rounds = soak ? 500 : 20;
  LossyDisk disk(7);
  std::mt19937 chance(11);
  Known acknowledged;
  for (int round = 0; round < rounds; ++round) {
    open();
    std::array<Known, 3> sent;
    {
      std::vector<std::jthread> threads;
      threads.reserve(sent.size());
      for (std::size_t i = 0; i < sent.size(); ++i) {
        threads.emplace_back([&, i] {
          sent.at(i) = send(key('r'), std::to_string(round) + "." + std::to_string(i) + ".");
        });
      }
      std::this_thread::sleep_for(
          std::chrono::milliseconds(std::uniform_int_distribution<int>(1, 60)(chance)));
      disk.cut_power();
    }
    storage_.reset();
    disk.restore_power();
    open();
    const Known found = fetch(key('r'));
    for (const Known& each : sent) acknowledged.insert(each.begin(), each.end());
    for (const auto& [seq, body] : acknowledged) {
      const auto there = found.find(seq);
      ASSERT_TRUE(there != found.end() && there->second == body)
          << "round " << round << ", " << seq;
    }
    ASSERT_TRUE(found.empty() || found.rbegin()->first == found.size()) << "a hole";
    storage_.reset();
  }
  EXPECT_GT(acknowledged.size(), static_cast<std::size_t>(rounds));
  EXPECT_GT(disk.lost_writes(), 0U) << "the disk lost nothing, so that nothing was shown";
}

}  // namespace
}  // namespace heddle::messaging
