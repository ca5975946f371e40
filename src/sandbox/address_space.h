// Whether the pool of guest memories fits the process: the engine ends the process when it cannot
// map what it was told to.
#pragma once

#include <cstdint>

#include "base/log.h"
#include "base/result.h"

namespace heddle::sandbox {

// What one pool slot takes.
struct SlotCost {
  std::uint64_t reserved_bytes = 0;  // address space
  std::uint64_t mappings = 5;        // entries in the kernel's map of the process
};

// How many slots of `wanted` fit: checks RLIMIT_AS, vm.max_map_count, and maps the whole once on
// trial. Fewer than wanted: a warning that names the limit. Too few to be of use: kLimit.
Result<std::uint32_t> fit_slots(std::uint32_t wanted, const SlotCost& cost, Log& log);

}  // namespace heddle::sandbox
