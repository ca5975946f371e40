#include "contracts/proxy_wasm/plugin_log.h"

#include "base/clock.h"

namespace heddle::proxy_wasm {

void PluginLog::write(LogLevel level, std::string_view message, std::string_view request_id,
                      std::string_view key, std::string_view value) {
  if (!log_.enabled(level)) return;
  if (level == LogLevel::kWarn && !record_.admit_warning()) return;
  put(level, message, request_id, key, value);
}

void PluginLog::put(LogLevel level, std::string_view message, std::string_view request_id,
                    std::string_view key, std::string_view value) {
  if (key.empty()) {
    record_.line(level, message, request_id);
  } else if (request_id.empty()) {
    record_.write(level, message, LogField(key, value));
  } else {
    record_.write(level, message, LogField("request_id", request_id), LogField(key, value));
  }
}

void PluginLog::warn_each_minute(Recurring kind, std::string_view message, std::string_view key,
                                 std::string_view value) {
  constexpr Nanoseconds kMinute = 60'000'000'000;
  const Nanoseconds now = monotonic_now();
  std::atomic<Nanoseconds>& quiet_until = quiet_until_.at(static_cast<std::size_t>(kind));
  Nanoseconds until = quiet_until.load(std::memory_order_relaxed);
  if (now < until || !quiet_until.compare_exchange_strong(until, now + kMinute)) return;
  if (log_.enabled(LogLevel::kWarn)) put(LogLevel::kWarn, message, {}, key, value);
}

void PluginLog::trap(LogLevel level, const sandbox::Trap& trap, std::string_view request_id) {
  if (!log_.enabled(level)) return;
  record_.write(level, "plugin failed in " + sandbox::to_string(trap),
                LogField("request_id", request_id),
                LogField("reason", sandbox::to_string(trap.reason)),
                LogField("callback", trap.function), LogField("backtrace", trap.backtrace));
}

}  // namespace heddle::proxy_wasm
