#include "contracts/native_hook/watchdog.h"

#include <fmt/format.h>
#include <pthread.h>

#include <utility>

namespace heddle::native_hook {

WatchedCalls::WatchedCalls(std::shared_ptr<extension::PluginRecord> record, std::string plugin,
                           const sandbox::CycleClock& clock, std::chrono::nanoseconds limit)
    : record_(std::move(record)),
      clock_(clock),
      limit_(limit),
      stalls_(record_->registry().counter(
          "heddle_plugin_stalls_total",
          "Calls of native plugins that took longer than their time and could not be stopped.",
          {{"plugin", std::move(plugin)}})) {}

void WatchedCalls::check() {
  const std::uint64_t now = clock_.now();
  for (Place& place : places_) {
    const std::uint64_t since = place.since.load(std::memory_order_relaxed);
    if (since == 0 || since == place.told || since > now) continue;
    const Nanoseconds running = clock_.nanoseconds(now - since);
    if (running < limit_.count()) continue;
    place.told = since;
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
