// The log lines of one plugin version: its own, through proxy_log and standard output, and those
// that Heddle writes about it, within the limits of its record. All of them carry plugin and
// version, and the request's id when there is a request. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "extension/plugin_record.h"
#include "sandbox/instance.h"

namespace heddle::proxy_wasm {

class PluginLog {
 public:
  PluginLog(Log& log, extension::PluginRecord& record) : log_(log), record_(record) {}

  // A line of the plugin.
  void guest_line(LogLevel level, std::string_view text, std::string_view request_id) {
    record_.guest_line(level, text, request_id);
  }

  // A line of Heddle about the plugin. Warnings, of which a plugin can cause as many as it likes,
  // are limited as well.
  void write(LogLevel level, std::string_view message, std::string_view request_id = {}) {
    write(level, message, request_id, {}, {});
  }
  // The same with one more field.
  void write(LogLevel level, std::string_view message, std::string_view request_id,
             std::string_view key, std::string_view value);
  // A warning that would come with every call; the first of its kind in each minute is written.
  enum class Recurring : std::uint8_t { kCapability, kSharedData, kAddress, kCount };
  void warn_each_minute(Recurring kind, std::string_view message, std::string_view key = {},
                        std::string_view value = {});
  void trap(LogLevel level, const sandbox::Trap& trap, std::string_view request_id);

  LogLevel level() const { return log_.level(); }

 private:
  void put(LogLevel level, std::string_view message, std::string_view request_id,
           std::string_view key, std::string_view value);

  Log& log_;
  extension::PluginRecord& record_;
  std::array<std::atomic<Nanoseconds>, static_cast<std::size_t>(Recurring::kCount)> quiet_until_{};
};

}  // namespace heddle::proxy_wasm
