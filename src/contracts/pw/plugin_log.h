// The log lines of a plugin: with its name, version and the request's id, limited in rate and length. One for each VM.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"

namespace heddle::proxy_wasm {

class PluginCode;

class PluginLog {
 public:
  explicit PluginLog(const PluginCode& code) : code_(code) {}

  // One line; a trailing newline is dropped, what passes the length limit cut. Beyond the rate limit lines are counted and
  // the count is logged when the second is over.
  void write(LogLevel level, std::string_view text, std::string_view request_id);

 private:
  const PluginCode& code_;
  Nanoseconds second_ = 0;
  std::uint64_t lines_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace heddle::proxy_wasm
