#include "base/metric_cells.h"

#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace heddle::metrics {
namespace internal {

thread_local constinit std::size_t t_shard = 0;
constinit Cell* g_pages[kShards][kMaxPages];

namespace {

// Which cells are free. Metrics may outlive everything else of a process, so it is never destroyed.
class Directory {
 public:
  std::uint32_t take(std::size_t count) {
    const std::lock_guard lock(mutex_);
    if (auto& same = free_[count]; !same.empty()) return pop(same);
    const std::size_t left = kCellsPerPage - next_ % kCellsPerPage;
    if (left < count) {
      for (std::size_t i = 0; i < left; ++i) free_[1].push_back(next_++);
    }
    if (next_ + count > kMaxPages * kCellsPerPage) throw std::bad_alloc();
    return std::exchange(next_, next_ + static_cast<std::uint32_t>(count));
  }

  void give_back(std::uint32_t first, std::size_t count) {
    for (std::size_t shard = 0; shard < kShards; ++shard) {
      Cell* page = page_of(shard, first / kCellsPerPage).load(std::memory_order_acquire);
      if (page == nullptr) continue;
      for (std::size_t i = 0; i < count; ++i) {
        page[first % kCellsPerPage + i].store(0, std::memory_order_relaxed);
      }
    }
    const std::lock_guard lock(mutex_);
    free_[count].push_back(first);
  }

 private:
  static std::uint32_t pop(std::vector<std::uint32_t>& from) {
    const std::uint32_t out = from.back();
    from.pop_back();
    return out;
  }

  std::mutex mutex_;
  std::uint32_t next_ = 0;
  std::map<std::size_t, std::vector<std::uint32_t>> free_;  // by size of the range
};

Directory& directory() {
  [[clang::no_destroy]] static Directory instance;
  return instance;
}

}  // namespace

Cells::Cells(std::size_t count)
    : first_(directory().take(count)), count_(static_cast<std::uint32_t>(count)) {}

Cells::~Cells() {
  directory().give_back(first_, count_);
}

std::uint64_t Cells::sum(std::size_t index) const {
  std::uint64_t sum = 0;
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    const Cell* page = page_of(shard, first_ / kCellsPerPage).load(std::memory_order_acquire);
    if (page == nullptr) continue;
    sum += page[first_ % kCellsPerPage + index].load(std::memory_order_relaxed);
  }
  return sum;
}

Cell* Cells::make_page(std::size_t shard, std::size_t page) {
  constexpr std::align_val_t kLine{64};
  auto* fresh = new (kLine) Cell[kCellsPerPage]();
  Cell* expected = nullptr;
  if (page_of(shard, page).compare_exchange_strong(expected, fresh, std::memory_order_acq_rel)) {
    return fresh;
  }
  ::operator delete[](fresh, kLine);  // another thread of slot 0 was first
  return expected;
}

}  // namespace internal

void set_thread_shard(std::size_t shard) {
  internal::t_shard = shard < kShards ? shard : 0;
}

}  // namespace heddle::metrics
