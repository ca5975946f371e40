#include "contracts/native_hook/shared_ring.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace heddle::native_hook {
namespace {

using Size = std::uint32_t;  // stands before each record

// Shared between processes, hence without FUTEX_PRIVATE_FLAG.
void futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
  static_assert(sizeof word == sizeof(std::uint32_t));
  syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

}  // namespace

bool RingWriter::push(std::string_view record) {
  const std::size_t needed = sizeof(Size) + record.size();
  const std::uint64_t used = written_ - ring_.read.load(std::memory_order_acquire);
  if (used > RingMemory::kCapacity || RingMemory::kCapacity - used < needed) return false;
  const auto size = static_cast<Size>(record.size());
  put(written_, {reinterpret_cast<const char*>(&size), sizeof size});
  put(written_ + sizeof size, record);
  written_ += needed;
  ring_.written.store(written_);
  return true;
}

void RingWriter::put(std::uint64_t position, std::string_view bytes) {
  const std::size_t offset = position % RingMemory::kCapacity;
  const std::size_t first = std::min(bytes.size(), RingMemory::kCapacity - offset);
  std::memcpy(ring_.bytes.data() + offset, bytes.data(), first);
  std::memcpy(ring_.bytes.data(), bytes.data() + first, bytes.size() - first);
}

void RingWriter::wake() {
  futex(ring_.sleeping, FUTEX_WAKE, 1);
}

Result<bool> RingReader::pop(std::string& record) {
  const std::uint64_t there = ring_.written.load() - read_;
  if (there == 0) return false;
  Size size = 0;
  if (there > RingMemory::kCapacity || there < sizeof size) {
    return fail(ErrorKind::kInternal, "the shared memory is damaged");
  }
  take(read_, reinterpret_cast<char*>(&size), sizeof size);
  if (size > there - sizeof size) {
    return fail(ErrorKind::kInternal, "the shared memory is damaged");
  }
  record.resize(size);
  take(read_ + sizeof size, record.data(), size);
  read_ += sizeof size + size;
  ring_.read.store(read_, std::memory_order_release);
  return true;
}

void RingReader::take(std::uint64_t position, char* target, std::size_t size) const {
  const std::size_t offset = position % RingMemory::kCapacity;
  const std::size_t first = std::min(size, RingMemory::kCapacity - offset);
  std::memcpy(target, ring_.bytes.data() + offset, first);
  std::memcpy(target + first, ring_.bytes.data(), size - first);
}

bool RingReader::fall_asleep() {
  ring_.sleeping.store(1);
  if (ring_.written.load() == read_) return true;
  stay_awake();
  return false;
}

void RingReader::sleep() {
  futex(ring_.sleeping, FUTEX_WAIT, 1);
}

}  // namespace heddle::native_hook
