#include "contracts/proxy_wasm/plugin_log.h"

#include "base/clock.h"

namespace heddle::proxy_wasm {

PluginLog::PluginLog(Log& log, const extension::PluginSpec& spec, PluginStats& stats)
    : log_(log), spec_(spec), stats_(stats) {}

// Seconds are those of the clock's, not sliding: a burst over the edge of two may have twice the
// lines.
bool PluginLog::admit(Window& window, std::uint64_t most) {
  const std::int64_t now = monotonic_now() / 1'000'000'000;
  std::int64_t second = window.second.load(std::memory_order_relaxed);
  if (second != now && window.second.compare_exchange_strong(second, now)) {
    window.lines = 0;
    report_drops();
  }
  if (window.lines.fetch_add(1, std::memory_order_relaxed) < most) return true;
  ++dropped_;
  stats_.limit_hit(Limit::kLogLines);
  return false;
}

void PluginLog::report_drops() {
  const std::uint64_t dropped = dropped_.exchange(0);
  if (dropped == 0) return;
  log_.write(LogLevel::kWarn, "log lines of a plugin were dropped (log_lines_per_second)",
             {{"plugin", spec_.name},
              {"version", spec_.version},
              {"dropped", dropped},
              {"log_lines_per_second", spec_.log_lines_per_second}});
}

void PluginLog::guest_line(LogLevel level, std::string_view text, std::string_view request_id) {
  if (!log_.enabled(level) || !admit(lines_, spec_.log_lines_per_second)) return;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.size() > spec_.log_line_bytes) {
    stats_.limit_hit(Limit::kLogLineBytes);
    text = text.substr(0, spec_.log_line_bytes);
  }
  put(level, text, request_id, {}, {});
}

void PluginLog::write(LogLevel level, std::string_view message, std::string_view request_id,
                      std::string_view key, std::string_view value) {
  if (!log_.enabled(level)) return;
  if (level == LogLevel::kWarn && !admit(warnings_, kWarningsPerSecond)) return;
  put(level, message, request_id, key, value);
}

void PluginLog::put(LogLevel level, std::string_view message, std::string_view request_id,
                    std::string_view key, std::string_view value) {
  const LogField plugin("plugin", spec_.name);
  const LogField version("version", spec_.version);
  const LogField request("request_id", request_id);
  if (request_id.empty() && key.empty()) {
    log_.write(level, message, {plugin, version});
  } else if (key.empty()) {
    log_.write(level, message, {plugin, version, request});
  } else if (request_id.empty()) {
    log_.write(level, message, {plugin, version, {key, value}});
  } else {
    log_.write(level, message, {plugin, version, request, {key, value}});
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
  log_.write(level, "plugin failed in " + sandbox::to_string(trap),
             {{"plugin", spec_.name},
              {"version", spec_.version},
              {"request_id", request_id},
              {"reason", sandbox::to_string(trap.reason)},
              {"callback", trap.function},
              {"backtrace", trap.backtrace}});
}

}  // namespace heddle::proxy_wasm
