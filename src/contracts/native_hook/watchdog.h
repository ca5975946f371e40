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

#include "base/clock.h"
#include "extension/plugin_record.h"

namespace heddle::native_hook {

// The calls of one plugin that run now. A call writes its number and that it runs, no instant: the
// watchdog sees by the number whether it is the one that ran when it looked before.
class WatchedCalls {
 public:
  // Of workers, by index; threads that share a place hide each other's stalls, no more.
  static constexpr std::size_t kPlaces = 64;

  WatchedCalls(std::shared_ptr<extension::PluginRecord> record, std::string plugin,
               std::chrono::nanoseconds limit);

  // The number of the call at this place, from 1.
  std::uint64_t begin(std::size_t place) {
    Place& at = places_[place % kPlaces];
    const std::uint64_t number = at.number.load(std::memory_order_relaxed) + 1;
    at.number.store(number, std::memory_order_relaxed);
    at.runs.store(true, std::memory_order_relaxed);
    return number;
  }
  void end(std::size_t place) {
    places_[place % kPlaces].runs.store(false, std::memory_order_relaxed);
  }
  // By the watchdog's thread only.
  void check();

 private:
  struct alignas(64) Place {
    std::atomic<std::uint64_t> number{0};
    std::atomic<bool> runs{false};
    // The watchdog's:
    std::uint64_t seen = 0;  // the call that ran when it looked; 0: none
    Nanoseconds since = 0;   // when it saw that one first
    bool told = false;
  };

  std::shared_ptr<extension::PluginRecord> record_;
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
