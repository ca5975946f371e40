// One direction of the talk between the server and a child process: a queue of records in memory
// that both have mapped. One writer and one reader, each in its own process. Neither trusts what
// the other has written: positions are checked, records are copied out.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::native_hook {

// As it lies in the shared memory, which begins as zeros. Positions count bytes and never go back.
struct RingMemory {
  static constexpr std::size_t kCapacity = std::size_t{1} << 18U;

  alignas(64) std::atomic<std::uint64_t> written{0};
  alignas(64) std::atomic<std::uint64_t> read{0};
  alignas(64) std::atomic<std::uint32_t> sleeping{0};  // the reader waits; the word of the futex
  alignas(64) std::array<char, kCapacity> bytes{};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// What one record may have; more never fits.
inline constexpr std::size_t kMaxRecord = RingMemory::kCapacity / 2;

class RingWriter {
 public:
  explicit RingWriter(RingMemory& ring) : ring_(ring) {}

  // False: there is no room now.
  bool push(std::string_view record);
  // Whether the reader has gone to sleep; says so once, to the one who must wake it.
  bool must_wake() { return ring_.sleeping.exchange(0) != 0; }
  // Wakes a reader that waits in RingReader::sleep().
  void wake();

 private:
  void put(std::uint64_t position, std::string_view bytes);

  RingMemory& ring_;
  std::uint64_t written_ = 0;  // the other side can spoil its copy only
};

class RingReader {
 public:
  explicit RingReader(RingMemory& ring) : ring_(ring) {}

  // The next record, or false when there is none. An error: what is there is no record.
  Result<bool> pop(std::string& record);
  // Asks to be woken; false when there is a record already. stay_awake() takes it back.
  bool fall_asleep();
  void stay_awake() { ring_.sleeping.store(0); }
  // Waits for RingWriter::wake(), after fall_asleep(). May return early.
  void sleep();

 private:
  void take(std::uint64_t position, char* target, std::size_t size) const;

  RingMemory& ring_;
  std::uint64_t read_ = 0;
};

}  // namespace heddle::native_hook
