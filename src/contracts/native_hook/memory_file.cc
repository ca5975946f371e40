#include "contracts/native_hook/memory_file.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace heddle::native_hook {

std::unexpected<Error> system_error(std::string_view what) {
  return fail(ErrorKind::kIo, fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

Result<net::Fd> make_memory_file(std::string_view name, std::span<const std::byte> bytes) {
  constexpr std::size_t kLongestName = 200;
  constexpr std::string_view kFailed = "cannot be copied into memory";
  const std::string shown = fmt::format("heddle-{}", name).substr(0, kLongestName);
  net::Fd file(memfd_create(shown.c_str(), MFD_CLOEXEC));
  if (!file) return system_error(kFailed);
  while (!bytes.empty()) {
    const ssize_t count = write(file.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(kFailed);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return file;
}

}  // namespace heddle::native_hook
