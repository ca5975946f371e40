// Whether a file is a shared object for this machine, judged by its ELF header, so that what the
// dynamic linker would say in its own words is refused in clear ones.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace heddle::native_hook {

bool has_elf_magic(std::span<const std::byte> file);

// The error says what the file is instead: not an object, of another architecture or word size, a
// program, truncated.
Result<void> check_shared_object(std::span<const std::byte> file);

}  // namespace heddle::native_hook
