#include "contracts/json_rpc/guest_log.h"

#include "base/clock.h"

namespace heddle::json_rpc {

// Seconds are those of the clock, not sliding.
bool GuestLog::admit() {
  const std::int64_t now = monotonic_now() / 1'000'000'000;
  std::int64_t second = second_.load(std::memory_order_relaxed);
  if (second != now && second_.compare_exchange_strong(second, now)) {
    lines_ = 0;
    if (const std::uint64_t dropped = dropped_.exchange(0); dropped > 0) {
      log_.write(LogLevel::kWarn, "log lines of a plugin were dropped (log_lines_per_second)",
                 {{"plugin", spec_.name}, {"version", spec_.version}, {"dropped", dropped}});
    }
  }
  if (lines_.fetch_add(1, std::memory_order_relaxed) < spec_.log_lines_per_second) return true;
  ++dropped_;
  return false;
}

bool GuestLog::guest_line(LogLevel level, std::string_view line, std::string_view request_id) {
  if (!admit()) return false;
  if (line.ends_with('\r')) line.remove_suffix(1);
  write(level, line.substr(0, spec_.log_line_bytes), request_id);
  return true;
}

void GuestLog::write(LogLevel level, std::string_view message, std::string_view request_id,
                     std::string_view cause, std::string_view detail) {
  if (!log_.enabled(level)) return;
  const LogField plugin("plugin", spec_.name);
  const LogField version("version", spec_.version);
  const LogField request("request_id", request_id);
  if (cause.empty()) {
    log_.write(level, message, {plugin, version, request});
  } else {
    log_.write(level, message, {plugin, version, request, {"cause", cause}, {"detail", detail}});
  }
}

}  // namespace heddle::json_rpc
