// The thread that advances the engine's epoch, which is what ends guests that run too long. It
// ticks while guests run, four times slower while it finds none that does, and sleeps when none has
// run for a while, so a server is not woken a thousand times a second for calls of microseconds.
//
// Guests announce themselves in slots, one cache line per worker. A worker that entered since the
// last tick need not synchronise again: entering and leaving are plain writes to its own line.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "base/metric_cells.h"

namespace heddle::sandbox {

class EpochTicker {
 public:
  class alignas(64) Slot {
   public:
    // Before and after every outermost guest call, on the thread that asked for the slot.
    //
    // The thread sleeps only after many ticks in which `entered_` stayed false and `running_` zero,
    // so a plain write of `running_` is seen in time. Who finds `entered_` false writes it before
    // it reads whether the ticker sleeps, and the ticker does the reverse: both sequentially
    // consistent, so one of the two sees the other.
    void enter(EpochTicker& ticker) {
      add(1);
      if (!entered_.load(std::memory_order_relaxed)) [[unlikely]]
        announce(ticker);
    }
    void leave() { add(-1); }

   private:
    friend class EpochTicker;
    void announce(EpochTicker& ticker);
    void add(std::int32_t delta) {
      if (shared_) {
        running_.fetch_add(delta, std::memory_order_acq_rel);
      } else {
        running_.store(running_.load(std::memory_order_relaxed) + delta, std::memory_order_release);
      }
    }
    bool was_active();
    bool is_running() const { return running_.load(std::memory_order_acquire) != 0; }

    bool shared_ = false;  // by all threads that have no shard of their own
    std::atomic<bool> entered_{false};
    std::atomic<std::int32_t> running_{0};
  };

  // `advance(context)` is called once a tick on the ticker's thread, until the destructor returns.
  EpochTicker(std::chrono::nanoseconds tick, void (*advance)(void* context), void* context);
  ~EpochTicker();
  EpochTicker(const EpochTicker&) = delete;
  EpochTicker& operator=(const EpochTicker&) = delete;

  // The slot of the calling thread's shard.
  Slot& slot() { return slots_[metrics::thread_shard()]; }
  std::chrono::nanoseconds tick() const { return tick_; }
  bool asleep() const { return asleep_.load(); }

 private:
  void wake();
  void run();
  bool any_active();
  bool any_running();

  std::chrono::nanoseconds tick_;
  void (*advance_)(void* context);
  void* context_;
  std::array<Slot, metrics::kShards> slots_;
  alignas(64) std::atomic<bool> asleep_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace heddle::sandbox
