// Where the lines of a log go: standard output or a file. Private to this folder.
#pragma once

#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "base/result.h"

namespace heddle {

// The log's own thread writes; it waits for a reader that is slow, but not for ever after
// hurry().
class LogTarget final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // `path` empty: standard output. Call open() first.
  explicit LogTarget(std::string path);
  ~LogTarget() override;
  LogTarget(const LogTarget&) = delete;
  LogTarget& operator=(const LogTarget&) = delete;

  // Opens the file, again when it is open: one that was moved away gets the lines until then.
  // Any thread; when it fails everything stays as it was.
  Result<void> open();
  // What cannot be written by then is dropped. Any thread.
  void hurry(std::chrono::milliseconds time);

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override;

 private:
  void use_fresh();
  void write_out();
  bool wait_writable() const;
  bool too_late() const;

  const std::string path_;
  std::atomic<int> fresh_ = -1;             // opened, not used yet
  std::atomic<std::int64_t> deadline_ = 0;  // monotonic nanoseconds; 0: none
  int fd_ = -1;
  bool regular_ = false;  // writing to it never waits
  std::string pending_;
};

}  // namespace heddle
