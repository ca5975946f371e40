// What a plugin keeps for each worker, by the worker's index.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

#include "extension/plugin_contract.h"

namespace heddle::extension {

// A place for every index up to kSmokeWorker. Places are made in groups, with the first of a group
// that is asked for: there may be 256 workers, and most servers have a handful.
template <typename T>
class PerWorker {
 public:
  PerWorker() = default;
  ~PerWorker() {
    for (const auto& group : groups_) std::unique_ptr<Group>(group.load());
  }
  PerWorker(const PerWorker&) = delete;
  PerWorker& operator=(const PerWorker&) = delete;

  // Any thread; the place stays where it is. Throws std::out_of_range beyond kSmokeWorker.
  T& at(std::size_t worker) {
    std::atomic<Group*>& group = groups_.at(worker / kGroup);
    Group* places = group.load(std::memory_order_acquire);
    if (places == nullptr) [[unlikely]]
      places = make(group);
    return (*places)[worker % kGroup];
  }

  // Calls `visit(T&)` for the places made so far.
  template <typename Visit>
  void for_each(Visit visit) {
    for (const auto& group : groups_) {
      Group* places = group.load(std::memory_order_acquire);
      if (places == nullptr) continue;
      for (T& place : *places) visit(place);
    }
  }

 private:
  static constexpr std::size_t kGroup = 8;
  static_assert((kSmokeWorker + 1) % kGroup == 0);
  using Group = std::array<T, kGroup>;

  static Group* make(std::atomic<Group*>& group) {
    auto made = std::make_unique<Group>();
    Group* other = nullptr;  // of a thread that was faster
    if (!group.compare_exchange_strong(other, made.get(), std::memory_order_acq_rel)) return other;
    return made.release();
  }

  std::array<std::atomic<Group*>, (kSmokeWorker + 1) / kGroup> groups_{};
};

}  // namespace heddle::extension
