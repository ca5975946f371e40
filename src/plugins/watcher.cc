#include "plugins/watcher.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <system_error>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace heddle::plugins {
namespace {

// Only what ends a change: a file that is being written is looked at when it is closed. Attributes:
// a file made readable.
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                  IN_CREATE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                  IN_ONLYDIR;
constexpr std::chrono::milliseconds kRetry{1'000};  // directories that do not exist yet
constexpr int kMostWaits =
    10;  // a stream of events delays the callback by this many debounce times at most

class InotifyWatcher final : public Watcher {
 public:
  InotifyWatcher(int inotify, int stop, std::vector<std::string> directories,
                 std::function<void()> changed, Log& log, WatchOptions options)
      : inotify_(inotify),
        stop_(stop),
        missing_(std::move(directories)),
        changed_(std::move(changed)),
        log_(log),
        options_(std::move(options)) {
    add_missing();  // before the caller makes the first change
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "heddle-watch");
      run();
    });
  }

  ~InotifyWatcher() override {
    const std::uint64_t one = 1;
    // An eventfd takes eight bytes at once or fails for good; then the thread would not end, so
    // there is nothing to retry.
    [[maybe_unused]] const ssize_t written = write(stop_, &one, sizeof one);
    thread_.join();
    close(inotify_);
    close(stop_);
  }

 private:
  enum class Wake : std::uint8_t { kStop, kEvents, kTimeout };

  void run() {
    bool changed = options_.at_start;
    while (true) {
      if (changed && !settle()) return;
      if (changed) changed_();
      const Wake wake = wait(missing_.empty() ? std::chrono::milliseconds(-1) : kRetry);
      if (wake == Wake::kStop) return;
      changed = wake == Wake::kEvents && drain();
      if (add_missing()) changed = true;
    }
  }

  // Waits for the end of a change; false: the watcher is to stop.
  bool settle() {
    const auto stamp = [this] { return options_.stamp ? options_.stamp() : 0; };
    const Nanoseconds debounce = to_nanoseconds(options_.debounce);
    const Nanoseconds latest = monotonic_now() + kMostWaits * debounce;
    std::size_t seen = stamp();
    Nanoseconds since = monotonic_now();
    while (true) {
      const Wake wake = wait(options_.debounce);
      if (wake == Wake::kStop) return false;
      if (wake == Wake::kEvents) drain();
      const Nanoseconds now = monotonic_now();
      if (const std::size_t next = stamp(); next != seen) {
        seen = next;
        since = now;
      }
      const bool quiet = wake == Wake::kTimeout || now >= latest;
      if (quiet && now - since >= debounce) return true;
    }
  }

  Wake wait(std::chrono::milliseconds timeout) {
    const Nanoseconds end = monotonic_now() + to_nanoseconds(timeout);
    while (true) {
      std::array<pollfd, 2> fds{{{stop_, POLLIN, 0}, {inotify_, POLLIN, 0}}};
      int left = -1;
      if (timeout.count() >= 0) {
        left = static_cast<int>(
            std::max<Nanoseconds>(0, (end - monotonic_now() + 999'999) / 1'000'000));
      }
      const int ready = poll(fds.data(), fds.size(), left);
      if (ready < 0 && errno == EINTR) continue;
      if (fds[0].revents != 0) return Wake::kStop;
      return fds[1].revents != 0 ? Wake::kEvents : Wake::kTimeout;
    }
  }

  // Reads every event that waits; whether one of them is of interest.
  bool drain() {
    bool changed = false;
    alignas(inotify_event) std::array<char, 4096> bytes{};
    while (true) {
      const ssize_t count = read(inotify_, bytes.data(), bytes.size());
      if (count <= 0) return changed;
      for (ssize_t at = 0; at < count;) {
        const auto* event = reinterpret_cast<const inotify_event*>(bytes.data() + at);
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
        changed |= handle(*event);
      }
    }
  }

  bool handle(const inotify_event& event) {
    if ((event.mask & IN_MOVE_SELF) != 0) {
      inotify_rm_watch(inotify_,
                       event.wd);  // its path now names something else; IN_IGNORED follows
      return true;
    }
    if ((event.mask & IN_IGNORED) != 0) {
      if (const auto it = watched_.find(event.wd); it != watched_.end()) {
        log_.warn("a watched folder is gone; waiting for it to come back", {{"path", it->second}});
        missing_.push_back(it->second);
        watched_.erase(it);
      }
      return true;
    }
    if (event.len > 0 && options_.counts && !options_.counts(event.name)) return false;
    // A created file is empty until it is closed, but a link is complete: both are harmless to look
    // at, as an empty file just fails and its closing event follows. Regular files therefore count
    // only when closed.
    return (event.mask & ~std::uint32_t{IN_CREATE}) != 0 || is_link(event);  // IN_ISDIR: a folder
  }

  bool is_link(const inotify_event& event) const {
    const auto it = watched_.find(event.wd);
    if (it == watched_.end() || event.len == 0) return true;
    std::array<char, 1> target{};
    const std::string path = it->second + "/" + event.name;
    return readlink(path.c_str(), target.data(), target.size()) >= 0;
  }

  // Watches what can be watched now; whether that was something.
  bool add_missing() {
    bool added = false;
    std::erase_if(missing_, [&](const std::string& directory) {
      const int watch = inotify_add_watch(inotify_, directory.c_str(), kEvents);
      if (watch < 0) return false;
      watched_[watch] = directory;
      added = true;
      return true;
    });
    return added;
  }

  int inotify_;
  int stop_;
  std::vector<std::string> missing_;
  std::map<int, std::string> watched_;
  std::function<void()> changed_;
  Log& log_;
  WatchOptions options_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::create(std::vector<std::string> directories,
                                                 std::function<void()> changed, Log& log,
                                                 WatchOptions options) {
  const int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  const int stop = inotify < 0 ? -1 : eventfd(0, EFD_CLOEXEC);
  if (stop < 0) {
    const std::string reason = std::generic_category().message(errno);
    if (inotify >= 0) close(inotify);
    return fail(
        ErrorKind::kIo,
        "inotify: " + reason + "; raise fs.inotify.max_user_instances, or switch watching off");
  }
  return std::make_unique<InotifyWatcher>(inotify, stop, std::move(directories), std::move(changed),
                                          log, std::move(options));
}

}  // namespace heddle::plugins
