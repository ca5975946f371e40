#include "contracts/native_hook/watchdog.h"

#include <fmt/format.h>
#include <pthread.h>

#include <utility>

namespace heddle::native_hook {

WatchedCalls::WatchedCalls(std::shared_ptr<extension::PluginRecord> record, std::string plugin,
                           std::chrono::nanoseconds limit)
    : record_(std::move(record)),
      limit_(limit),
      stalls_(record_->registry().counter(
          "heddle_plugin_stalls_total",
          "Calls of native plugins that took longer than their time and could not be stopped.",
          {{"plugin", std::move(plugin)}})) {}

void WatchedCalls::check() {
  const Nanoseconds now = monotonic_now();
  for (Place& place : places_) {
    if (!place.runs.load(std::memory_order_relaxed)) {
      place.seen = 0;
      continue;
    }
    const std::uint64_t number = place.number.load(std::memory_order_relaxed);
    if (number != place.seen) {
      place.seen = number;
      place.since = now;
      place.told = false;
      continue;
    }
    const Nanoseconds running = now - place.since;
    if (place.told || running < limit_.count()) continue;
    place.told = true;
    stalls_->add();
    record_->write(LogLevel::kWarn,
                   "native code of a plugin blocks its thread and cannot be stopped; mend the "
                   "plugin, or compile it to wasm32",
                   LogField("running_ms", fmt::to_string(running / 1'000'000)));
  }
}

Watchdog::Watchdog(std::chrono::milliseconds period) : period_(period) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::watch(std::weak_ptr<WatchedCalls> calls) {
  const std::lock_guard lock(mutex_);
  watched_.push_back(std::move(calls));
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void Watchdog::run() {
  pthread_setname_np(pthread_self(), "heddle-watchdog");
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    std::erase_if(watched_, [](const auto& each) {
      const auto calls = each.lock();
      if (calls != nullptr) calls->check();
      return calls == nullptr;
    });
    wake_.wait_for(lock, period_);
  }
}

}  // namespace heddle::native_hook
