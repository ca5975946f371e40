// Watches native code, which nothing can stop: a call that takes longer than its time is told in
// the log, with the plugin's name, and counted (heddle_plugin_stalls_total), while it still runs.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "extension/plugin_record.h"
#include "sandbox/cycle_clock.h"

namespace heddle::native_hook {

// The calls of one plugin that run now; instants are those of the clock, which outlives it.
class WatchedCalls {
 public:
  // Of workers, by index; threads that share a place hide each other's stalls, no more.
  static constexpr std::size_t kPlaces = 64;

  WatchedCalls(std::shared_ptr<extension::PluginRecord> record, std::string plugin,
               const sandbox::CycleClock& clock, std::chrono::nanoseconds limit);

  void begin(std::size_t place, std::uint64_t now) {
    places_[place % kPlaces].since.store(now, std::memory_order_relaxed);
  }
  void end(std::size_t place) {
    places_[place % kPlaces].since.store(0, std::memory_order_relaxed);
  }
  // By the watchdog's thread only.
  void check();

 private:
  struct alignas(64) Place {
    std::atomic<std::uint64_t> since{0};  // 0: idle
    std::uint64_t told = 0;               // the call that was told
  };

  std::shared_ptr<extension::PluginRecord> record_;
  const sandbox::CycleClock& clock_;
  std::chrono::nanoseconds limit_;
  std::shared_ptr<metrics::Counter> stalls_;
  std::array<Place, kPlaces> places_;
};

class Watchdog {
 public:
  explicit Watchdog(std::chrono::milliseconds period = std::chrono::milliseconds(100));
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Until the last other reference goes.
  void watch(std::weak_ptr<WatchedCalls> calls);

 private:
  void run();

  std::chrono::milliseconds period_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::weak_ptr<WatchedCalls>> watched_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace heddle::native_hook
