#include "cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

namespace heddle::cli {
namespace {

bool put_line(std::FILE* stream, std::string_view line) {
  const std::string text = fmt::format("{}\n", line);
  return std::fwrite(text.data(), 1, text.size(), stream) == text.size() &&
         std::fflush(stream) == 0;
}

}  // namespace

// open() gives the lowest number that is free.
void keep_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) return;
  }
}

Result<void> print_result(std::string_view line) {
  if (put_line(stdout, line)) return {};
  return fail(ErrorKind::kIo, fmt::format("the result cannot be written to standard output: {}",
                                          std::generic_category().message(errno)));
}

void print_note(std::string_view line) {
  static_cast<void>(put_line(stderr, line));
}

}  // namespace heddle::cli
