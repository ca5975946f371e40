// Tells when files of plugin directories were written, moved in or out, or deleted (inotify). It
// says only that something changed: Registry::rescan() finds out what, so a lost event harms
// nothing.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"

namespace heddle::plugins {

class Watcher {
 public:
  // A file that is being copied makes many events: the callback waits until none came for this
  // long.
  static constexpr std::chrono::milliseconds kDebounce{200};

  // Starts a thread of its own, which calls `changed`; that should only post to the control thread.
  // A directory that does not exist is looked for every second. kIo when the system gives no
  // inotify instance.
  static Result<std::unique_ptr<Watcher>> create(std::vector<std::string> directories,
                                                 std::function<void()> changed, Log& log,
                                                 std::chrono::milliseconds debounce = kDebounce);
  virtual ~Watcher() = default;  // stops the thread; no call comes afterwards
};

}  // namespace heddle::plugins
