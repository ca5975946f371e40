// Remembers what the admin API switched on and off, over restarts: a JSON file
// `[{"name":…,"state":"enabled"|"disabled","configured":true|false}]`. `configured` is what the
// configuration said then: when it says something else now, it wins. Control thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"

namespace heddle::plugins {

class StateFile {
 public:
  // Reads the file if there is one; a broken one is told and taken as empty. An empty path: nothing
  // is remembered.
  StateFile(std::string path, Log& log);

  // What was switched; nothing when nobody did, or the configuration changed its mind since.
  std::optional<bool> enabled(std::string_view name, bool configured) const;
  // Written at once and in one step; a failure is told and costs nothing else.
  void set(std::string_view name, bool enabled, bool configured);
  // As nobody had switched it.
  void forget(std::string_view name);

 private:
  struct State {
    bool enabled = true;
    bool configured = true;
  };
  void read();
  void write() const;

  std::string path_;
  Log& log_;
  std::map<std::string, State, std::less<>> states_;
};

}  // namespace heddle::plugins
