// The log lines of one plugin version: its own, through proxy_log and standard output, within its
// limits, and those that Heddle writes about it. All of them carry plugin and version, and the
// request's id when there is a request. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "contracts/proxy_wasm/plugin_stats.h"
#include "extension/plugin_contract.h"

namespace heddle::proxy_wasm {

class PluginLog {
 public:
  PluginLog(Log& log, const extension::PluginSpec& spec, PluginStats& stats);
  ~PluginLog() { report_drops(); }
  PluginLog(const PluginLog&) = delete;
  PluginLog& operator=(const PluginLog&) = delete;

  // A line of the plugin. At most log_lines_per_second are written, the rest is counted, and the
  // count logged once a second has passed; a line longer than log_line_bytes is cut; one newline at
  // its end is taken off.
  void guest_line(LogLevel level, std::string_view text, std::string_view request_id);

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
  static constexpr std::uint64_t kWarningsPerSecond = 200;
  struct Window {
    std::atomic<std::int64_t> second{0};
    std::atomic<std::uint64_t> lines{0};  // in this second
  };

  bool admit(Window& window, std::uint64_t most);
  void put(LogLevel level, std::string_view message, std::string_view request_id,
           std::string_view key, std::string_view value);
  void report_drops();

  Log& log_;
  const extension::PluginSpec& spec_;
  PluginStats& stats_;
  Window lines_;
  Window warnings_;
  std::atomic<std::uint64_t> dropped_{0};  // not yet reported
  std::array<std::atomic<Nanoseconds>, static_cast<std::size_t>(Recurring::kCount)> quiet_until_{};
};

}  // namespace heddle::proxy_wasm
