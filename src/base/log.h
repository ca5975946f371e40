// The process log: one JSON object a line (or plain text), written by another thread.
//
// A Log is made in main and passed down. Any thread may write. A line that finds the queue full
// waits for nobody: the oldest line is dropped and counted. Nor does the end of the process wait
// long for a reader that does not read.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace heddle {

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kCritical, kOff };

std::optional<LogLevel> parse_log_level(
    std::string_view text);  // trace debug info warn|warning error critical off
std::string_view to_string(LogLevel level);

// One named value of a log line.
struct LogField {
  std::string_view key;
  std::variant<std::string_view, std::int64_t, double, bool> value;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  template <typename Int>
    requires std::is_integral_v<Int>
  LogField(std::string_view k, Int v) : key(k), value(static_cast<std::int64_t>(v)) {}
};

enum class LogFormat : std::uint8_t { kJson, kText };

class Log {
 public:
  // Writes to standard output, or to `path` when it is not empty (opened for appending).
  static Result<std::unique_ptr<Log>> create(LogLevel level, LogFormat format,
                                             const std::string& path = {});
  // Swallows everything; for tests and tools.
  static std::unique_ptr<Log> null();

  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  bool enabled(LogLevel level) const { return level >= level_; }
  LogLevel level() const { return level_; }
  void set_level(LogLevel level) { level_ = level; }

  // {"time":…,"level":…,"message":…, fields…}
  void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
  void debug(std::string_view message, std::initializer_list<LogField> fields = {});
  void info(std::string_view message, std::initializer_list<LogField> fields = {});
  void warn(std::string_view message, std::initializer_list<LogField> fields = {});
  void error(std::string_view message, std::initializer_list<LogField> fields = {});

  // Finished lines without the last newline (the access log formats its own); written whatever the
  // level.
  void write_raw(std::string_view line);

  void flush();
  // Opens the file anew: it may have been moved away (log rotation).
  Result<void> reopen();

 private:
  Log();
  struct Sink;
  std::unique_ptr<Sink> sink_;  // null: swallow
  std::atomic<LogLevel> level_ = LogLevel::kOff;
  LogFormat format_ = LogFormat::kJson;
};

// Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// RFC 3339 with microseconds in UTC: 2026-11-20T10:11:12.123456Z.
void append_timestamp(std::string& out, std::int64_t wall_nanoseconds);

}  // namespace heddle
