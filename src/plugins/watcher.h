// Tells when files of plugin directories were written, moved in or out, or deleted (inotify). It
// says only that something changed: Registry::rescan() finds out what, so a lost event harms
// nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"

namespace heddle::plugins {

// The functions are called on the watcher's thread.
struct WatchOptions {
  // A file that is being copied makes many events: the callback waits until none came for this
  // long.
  std::chrono::milliseconds debounce{200};
  // Whether what happens to a file of this name counts; empty: always.
  std::function<bool(std::string_view name)> counts = {};
  // The callback waits until its value was the same for as long; empty: it does not.
  std::function<std::size_t()> stamp = {};
  bool at_start = false;  // the callback also comes at the start, without an event
};

class Watcher {
 public:
  // Starts a thread of its own, which calls `changed`; that should only post to the control thread.
  // A directory that does not exist is looked for every second. kIo when the system gives no
  // inotify instance.
  static Result<std::unique_ptr<Watcher>> create(std::vector<std::string> directories,
                                                 std::function<void()> changed, Log& log,
                                                 WatchOptions options = {});
  virtual ~Watcher() = default;  // stops the thread; no call comes afterwards
};

}  // namespace heddle::plugins
