// The thread that advances the engine's epoch, which is what ends guests that run too long. It
// ticks while guests run and sleeps when none has run for a while, so an idle server is not woken a
// thousand times a second.
//
// Guests announce themselves in slots, one cache line per worker; entering costs one uncontended
// atomic operation.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace heddle::sandbox {

class EpochTicker {
 public:
  static constexpr std::size_t kSlots = 32;

  class alignas(64) Slot {
   public:
    // Before and after every outermost guest call, on any thread. Both orders of enter() against
    // the ticker falling asleep are safe: each side writes its flag before it reads the other's,
    // sequentially consistent.
    void enter(EpochTicker& ticker) {
      running_.fetch_add(1, std::memory_order_seq_cst);
      if (ticker.asleep_.load(std::memory_order_seq_cst)) [[unlikely]]
        ticker.wake();
    }
    void leave() { running_.fetch_sub(1, std::memory_order_release); }

   private:
    friend class EpochTicker;
    std::atomic<std::int32_t> running_{0};
  };

  // `advance(context)` is called once a tick on the ticker's thread, until the destructor returns.
  EpochTicker(std::chrono::nanoseconds tick, void (*advance)(void* context), void* context);
  ~EpochTicker();
  EpochTicker(const EpochTicker&) = delete;
  EpochTicker& operator=(const EpochTicker&) = delete;

  // The slot of the calling thread's shard (metrics::thread_shard()).
  Slot& slot();
  std::chrono::nanoseconds tick() const { return tick_; }
  bool asleep() const { return asleep_.load(); }

 private:
  void wake();
  void run();
  bool any_running() const;

  std::chrono::nanoseconds tick_;
  void (*advance_)(void* context);
  void* context_;
  std::array<Slot, kSlots> slots_;
  alignas(64) std::atomic<bool> asleep_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace heddle::sandbox
