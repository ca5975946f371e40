// Files that live in memory only.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"
#include "net/socket.h"

namespace heddle::native_hook {

// "cannot be copied into memory: No space left on device", from errno.
std::unexpected<Error> system_error(std::string_view what);

// A file of these bytes that only this process, and whom it is handed to, can see. `name` is shown
// by debuggers.
Result<net::Fd> make_memory_file(std::string_view name, std::span<const std::byte> bytes);

}  // namespace heddle::native_hook
