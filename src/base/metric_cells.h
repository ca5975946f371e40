// Where metrics count: cells of eight bytes, one for every thread slot, so that a thread writes to
// memory of its own without a lock.
//
// The cells of one slot lie side by side in pages that appear when the slot first counts there: a
// plugin's counters share cache lines with each other, never with another thread's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace heddle::metrics {

// Slot of the calling thread. Slots 1 to kShards - 1 belong to one thread each, which need not lock
// the bus to add to them; every other thread shares slot 0.
inline constexpr std::size_t kShards = 32;
void set_thread_shard(std::size_t shard);  // beyond the last slot: 0

namespace internal {

using Cell = std::atomic<std::uint64_t>;

inline constexpr std::size_t kCellsPerPage = 512;
inline constexpr std::size_t kMaxPages = 1 << 16;

extern thread_local constinit std::size_t t_shard;
extern Cell* g_pages[kShards][kMaxPages];  // NOLINT: zero until touched; by page_of() only

// Null until the slot counts in this page.
inline std::atomic_ref<Cell*> page_of(std::size_t shard, std::size_t page) {
  return std::atomic_ref(g_pages[shard][page]);
}

// `count` cells side by side in the pages of every slot. Any thread.
class Cells {
 public:
  // `count` is at most kCellsPerPage. Throws std::bad_alloc when all cells are taken.
  explicit Cells(std::size_t count);
  ~Cells();
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;

  // Returns what the calling thread's slot had counted before.
  std::uint64_t add(std::size_t index, std::uint64_t delta) {
    Cell* page = page_of(t_shard, first_ / kCellsPerPage).load(std::memory_order_acquire);
    if (page == nullptr) [[unlikely]]
      page = make_page(t_shard, first_ / kCellsPerPage);
    Cell& cell = page[first_ % kCellsPerPage + index];
    if (t_shard == 0) return cell.fetch_add(delta, std::memory_order_relaxed);
    const std::uint64_t before = cell.load(std::memory_order_relaxed);
    cell.store(before + delta, std::memory_order_relaxed);
    return before;
  }

  // Of all slots, modulo 2^64: negative deltas work too.
  std::uint64_t sum(std::size_t index) const;

 private:
  static Cell* make_page(std::size_t shard, std::size_t page);

  std::uint32_t first_;
  std::uint32_t count_;
};

}  // namespace internal

inline std::size_t thread_shard() {
  return internal::t_shard;
}

}  // namespace heddle::metrics
