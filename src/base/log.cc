#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>

#include "base/clock.h"
#include "base/log_target.h"
#include "base/utf8.h"

namespace heddle {
namespace {

constexpr std::size_t kQueueLines = 8192;  // 3.4 MB, all of it resident
constexpr std::chrono::milliseconds kLastLines{500};
constexpr std::array<std::string_view, 7> kLevelNames = {"trace", "debug",    "info", "warn",
                                                         "error", "critical", "off"};

// Text of clients and plugins must not begin a line of its own, nor steer a terminal.
void append_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    const std::size_t length = utf8_length(text);
    const bool c1 = length == 2 && byte == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (length > 1 && !c1) {
      out += text.substr(0, length);
      text.remove_prefix(length);
      continue;
    }
    if (byte == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte >= 0x7F) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    } else {
      out += text.front();
    }
    text.remove_prefix(1);
  }
}

void append_value(std::string& out, const LogField& field, bool json) {
  const auto visitor = [&](const auto& value) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, std::string_view>) {
      if (json) {
        append_json_string(out, value);
      } else {
        append_text(out, value);
      }
    } else {
      fmt::format_to(std::back_inserter(out), "{}", value);
    }
  };
  std::visit(visitor, field.value);
}

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

// Of the bytes at the front that stand in a JSON string as they are. Eight at a time: a byte that
// does not sets the highest bit of its place.
std::size_t plain_length(std::string_view text) {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  std::size_t at = 0;
  for (std::uint64_t word = 0; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    const std::uint64_t control = word - kEach * 0x20;
    const std::uint64_t quote = (word ^ kEach * '"') - kEach;
    const std::uint64_t backslash = (word ^ kEach * '\\') - kEach;
    if (((word | control | quote | backslash) & kEach * 0x80) != 0) break;
  }
  while (at < text.size() && is_plain(text[at])) ++at;
  return at;
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
  if (text == "warning") return LogLevel::kWarn;
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == text) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

std::string_view to_string(LogLevel level) {
  return kLevelNames.at(static_cast<std::size_t>(level));
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t plain = plain_length(text);
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    const char c = text.front();
    if (const std::size_t length = utf8_length(text); length > 1) {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += "\xEF\xBF\xBD";
        }
    }
    text.remove_prefix(1);
  }
  out += '"';
}

void append_timestamp(std::string& out, std::int64_t wall_nanoseconds) {
  // The text of the current second is kept per thread: formatting a date costs more than a log line
  // should.
  struct Cached {
    std::int64_t second = -1;
    std::array<char, 20> text{};
  };
  thread_local Cached cached;
  const std::int64_t second = wall_nanoseconds / 1'000'000'000;
  if (second != cached.second) {
    const auto time = static_cast<std::time_t>(second);
    std::tm tm{};
    gmtime_r(&time, &tm);
    std::strftime(cached.text.data(), cached.text.size(), "%Y-%m-%dT%H:%M:%S", &tm);
    cached.second = second;
  }
  out.append(cached.text.data(), 19);
  std::array<char, 9> fraction{'.', '0', '0', '0', '0', '0', '0', 'Z', 0};
  auto micros = static_cast<std::uint32_t>(wall_nanoseconds % 1'000'000'000 / 1000);
  for (std::size_t i = 6; i >= 1; --i) {
    fraction.at(i) = static_cast<char>('0' + micros % 10);
    micros /= 10;
  }
  out.append(fraction.data(), 8);
}

struct Log::Sink {
  // The writing thread ends first: it works with the logger until then.
  ~Sink() {
    target->hurry(kLastLines);
    pool.reset();
  }
  std::shared_ptr<LogTarget> target;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

Log::Log() = default;

Log::~Log() {
  if (sink_) sink_->logger->flush();
}

Result<std::unique_ptr<Log>> Log::create(LogLevel level, LogFormat format,
                                         const std::string& path) {
  std::unique_ptr<Log> log(new Log());
  try {
    auto target = std::make_shared<LogTarget>(path);
    if (auto opened = target->open(); !opened) return std::unexpected(std::move(opened.error()));
    auto sink = std::make_unique<Sink>();
    sink->target = target;
    sink->pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
    sink->logger = std::make_shared<spdlog::async_logger>(
        "heddle", std::move(target), sink->pool, spdlog::async_overflow_policy::overrun_oldest);
    sink->logger->set_level(spdlog::level::trace);
    sink->logger->flush_on(spdlog::level::info);
    log->sink_ = std::move(sink);
  } catch (const spdlog::spdlog_ex& e) {
    return fail(ErrorKind::kIo, fmt::format("cannot start the log: {}", e.what()));
  }
  log->level_ = level;
  log->format_ = format;
  return log;
}

std::unique_ptr<Log> Log::null() {
  return std::unique_ptr<Log>(new Log());
}

void Log::write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!sink_ || !enabled(level)) return;
  std::string line;
  line.reserve(128 + message.size());
  const bool json = format_ == LogFormat::kJson;
  if (json) line += R"({"time":")";
  append_timestamp(line, wall_now());
  line += json ? R"(","level":")" : " ";
  line += to_string(level);
  line += json ? R"(","message":)" : " ";
  if (json) {
    append_json_string(line, message);
  } else {
    append_text(line, message);
  }
  for (const LogField& field : fields) {
    line += json ? "," : " ";
    if (json) {
      append_json_string(line, field.key);
      line += ':';
    } else {
      line += field.key;
      line += '=';
    }
    append_value(line, field, json);
  }
  if (json) line += '}';
  sink_->logger->log(spdlog::level::info, line);
}

void Log::debug(std::string_view message, std::initializer_list<LogField> fields) {
  write(LogLevel::kDebug, message, fields);
}
void Log::info(std::string_view message, std::initializer_list<LogField> fields) {
  write(LogLevel::kInfo, message, fields);
}
void Log::warn(std::string_view message, std::initializer_list<LogField> fields) {
  write(LogLevel::kWarn, message, fields);
}
void Log::error(std::string_view message, std::initializer_list<LogField> fields) {
  write(LogLevel::kError, message, fields);
}

void Log::write_raw(std::string_view line) {
  // Not flushed line by line: the access log is the one thing written for every request.
  if (sink_) sink_->logger->log(spdlog::level::debug, line);
}

Result<void> Log::reopen() {
  return sink_ ? sink_->target->open() : Result<void>();
}

void Log::flush() {
  if (sink_) sink_->logger->flush();
}

}  // namespace heddle
