#include "sandbox/address_space.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace heddle::sandbox {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint32_t kFewest = 8;            // fewer slots are of no use
constexpr std::uint64_t kSpareMappings = 2000;  // for libraries, threads, modules
constexpr std::uint64_t kSpareBytes = std::uint64_t{4}
                                      << 30U;  // for the heap and the rest, under RLIMIT_AS

std::uint64_t slots_by_address_space(const SlotCost& cost) {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoLimit;
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const std::uint64_t used =
      pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) + kSpareBytes;
  return limit.rlim_cur > used ? (limit.rlim_cur - used) / cost.reserved_bytes : 0;
}

std::uint64_t slots_by_mappings(const SlotCost& cost) {
  std::uint64_t limit = 0;
  if (!(std::ifstream("/proc/sys/vm/max_map_count") >> limit)) return kNoLimit;
  std::uint64_t used = kSpareMappings;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) ++used;
  return limit > used ? (limit - used) / cost.mappings : 0;
}

// The kernel has the last word (other reservations, vm.overcommit_memory, a small address space).
bool can_map(std::uint64_t bytes) {
  void* probe = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (probe == MAP_FAILED) return false;
  munmap(probe, bytes);
  return true;
}

}  // namespace

Result<std::uint32_t> fit_slots(std::uint32_t wanted, const SlotCost& cost, Log& log) {
  const std::uint64_t by_space = slots_by_address_space(cost);
  const std::uint64_t by_mappings = slots_by_mappings(cost);
  std::uint64_t slots = std::min({std::uint64_t{wanted}, by_space, by_mappings});
  std::string_view why = by_mappings < by_space ? "vm.max_map_count" : "RLIMIT_AS (ulimit -v)";
  while (slots > 0 && !can_map(slots * cost.reserved_bytes)) {
    slots /= 2;
    why = "the address space (vm.overcommit_memory, or a limit of the container)";
  }
  if (slots < std::min(wanted, kFewest)) {
    return fail(
        ErrorKind::kLimit,
        fmt::format(
            "cannot reserve address space for {} plugin instances ({} GiB each): {} allows {}; "
            "raise it, or lower the number of instances",
            wanted, (cost.reserved_bytes + (1U << 30U) - 1) >> 30U, why, slots));
  }
  if (slots < wanted) {
    log.warn("fewer plugin instances than configured",
             {{"wanted", wanted}, {"instances", slots}, {"limited_by", why}});
  }
  return static_cast<std::uint32_t>(slots);
}

}  // namespace heddle::sandbox
