#include "base/log_target.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/clock.h"

namespace heddle {
namespace {

constexpr std::size_t kEnough = std::size_t{64} * 1024;  // written to a file without a flush
constexpr mode_t kMode = 0666;                           // but for the umask
constexpr int kLook = 50;                                // ms between looks at the deadline

bool is_regular(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

void close_if_open(int fd) {
  if (fd >= 0) ::close(fd);
}

}  // namespace

LogTarget::LogTarget(std::string path)
    : path_(std::move(path)), fd_(path_.empty() ? STDOUT_FILENO : -1), regular_(is_regular(fd_)) {}

LogTarget::~LogTarget() {
  if (path_.empty()) return;
  close_if_open(fresh_);
  close_if_open(fd_);
}

Result<void> LogTarget::open() {
  if (path_.empty()) return {};
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  const int fd = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, kMode);
  if (fd < 0) {
    return fail(ErrorKind::kIo, fmt::format("cannot open the log {}: {}", path_,
                                            std::generic_category().message(errno)));
  }
  close_if_open(fresh_.exchange(fd));
  return {};
}

void LogTarget::hurry(std::chrono::milliseconds time) {
  deadline_ = monotonic_now() + to_nanoseconds(time);
}

void LogTarget::sink_it_(const spdlog::details::log_msg& message) {
  use_fresh();
  pending_.append(message.payload.data(), message.payload.size());
  pending_ += '\n';
  if (path_.empty() || pending_.size() >= kEnough) write_out();
}

void LogTarget::flush_() {
  use_fresh();
  write_out();
}

void LogTarget::use_fresh() {
  if (fresh_ < 0) return;
  write_out();
  close_if_open(std::exchange(fd_, fresh_.exchange(-1)));
  regular_ = is_regular(fd_);
}

void LogTarget::write_out() {
  std::string_view rest = pending_;
  int error = 0;
  while (!rest.empty() && wait_writable()) {
    // A pipe that can be written to has room for so much; more would wait for its reader.
    const ssize_t written = ::write(
        fd_, rest.data(), regular_ ? rest.size() : std::min<std::size_t>(rest.size(), PIPE_BUF));
    if (written > 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      error = errno;
      break;
    }
  }
  pending_.clear();
  // Standard output that nobody reads is no failure.
  if (error != 0 && !path_.empty()) spdlog::throw_spdlog_ex("cannot write the log", error);
}

bool LogTarget::wait_writable() const {
  if (regular_) return true;
  while (!too_late()) {
    pollfd ready{fd_, POLLOUT, 0};
    if (::poll(&ready, 1, kLook) != 0) return true;
  }
  return false;
}

bool LogTarget::too_late() const {
  const std::int64_t deadline = deadline_;
  return deadline != 0 && monotonic_now() >= deadline;
}

}  // namespace heddle
