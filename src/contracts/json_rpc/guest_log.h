// The log of one plugin version: lines of standard error within the plugin's limits, and what
// Heddle says of its calls. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"
#include "extension/plugin_contract.h"

namespace heddle::json_rpc {

class GuestLog {
 public:
  GuestLog(Log& log, const extension::PluginSpec& spec) : log_(log), spec_(spec) {}

  // A line of the plugin. Lines beyond log_lines_per_second are dropped and counted, long ones are
  // cut to log_line_bytes. False: dropped.
  bool guest_line(LogLevel level, std::string_view line, std::string_view request_id);
  // A line of Heddle about a call.
  void write(LogLevel level, std::string_view message, std::string_view request_id,
             std::string_view cause = {}, std::string_view detail = {});

 private:
  bool admit();

  Log& log_;
  const extension::PluginSpec& spec_;
  std::atomic<std::int64_t> second_{0};
  std::atomic<std::uint64_t> lines_{0};  // in this second
  std::atomic<std::uint64_t> dropped_{0};
};

// Cuts a stream of bytes into lines; a line longer than the bound is given in its beginning only.
class LineCutter {
 public:
  explicit LineCutter(std::size_t longest) : longest_(longest) {}
  template <typename Take>
  void feed(std::string_view bytes, Take take) {
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      keep(bytes.substr(0, end));
      if (end == std::string_view::npos) return;
      take(std::string_view(line_));
      line_.clear();
      bytes.remove_prefix(end + 1);
    }
  }
  template <typename Take>
  void end(Take take) {
    if (!line_.empty()) take(std::string_view(line_));
    line_.clear();
  }

 private:
  void keep(std::string_view part) { line_ += part.substr(0, longest_ - line_.size()); }

  std::size_t longest_;
  std::string line_;
};

}  // namespace heddle::json_rpc
