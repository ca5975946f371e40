#include "sandbox/guest_placement.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <utility>

namespace heddle::sandbox {
namespace {

constexpr std::array<std::string_view, 4> kAllocators = {"alloc", "allocate", "malloc",
                                                         "ourchat_alloc"};
constexpr std::array<std::string_view, 2> kDeallocators = {"dealloc", "deallocate"};

std::unexpected<Trap> no_room(const char* function, std::string message) {
  Trap trap;
  trap.reason = TrapReason::kMemoryLimit;
  trap.message = std::move(message);
  trap.function = function;
  return std::unexpected(std::move(trap));
}

}  // namespace

void GuestPlacement::bind(Instance& instance) {
  for (const std::string_view name : kAllocators) {
    const auto found = instance.function<GuestPtr(GuestSize)>(name);
    if (found && *found && !allocate_) allocate_ = *found;
  }
  for (const std::string_view name : kDeallocators) {
    const auto found = instance.function<void(GuestPtr, GuestSize)>(name);
    if (found && *found && !deallocate_) deallocate_ = *found;
  }
  const auto found = instance.function<void(GuestPtr)>("free");
  if (found && *found) free_ = *found;
}

GuestResult<GuestPtr> GuestPlacement::reserve_own(Instance& instance, std::size_t size) {
  pages_.forget();
  const auto address = pages_.room(instance, size);
  if (address) return *address;
  return no_room("memory", fmt::format("no room for {} bytes: the memory of {} KiB cannot grow; "
                                       "export an allocator (alloc) or raise memory_limit",
                                       size, instance.memory_bytes() / 1024));
}

GuestResult<GuestPtr> GuestPlacement::reserve(Instance& instance, std::size_t size) {
  if (!allocate_) return reserve_own(instance, size);
  const auto address = instance.call(allocate_, static_cast<GuestSize>(size));
  if (!address) return address;
  if (*address == 0 || !instance.memory().view(*address, static_cast<GuestSize>(size))) {
    return no_room(allocate_.name(), fmt::format("{} gave address {} for {} bytes",
                                                 allocate_.name(), *address, size));
  }
  return address;
}

GuestResult<GuestPtr> GuestPlacement::place(Instance& instance, std::string_view bytes) {
  const auto address = reserve(instance, bytes.size());
  if (!address) return address;
  if (const auto room = instance.memory().span(*address, static_cast<GuestSize>(bytes.size())))
    std::memcpy(room->data(), bytes.data(), bytes.size());
  return address;
}

GuestResult<void> GuestPlacement::release(Instance& instance, GuestPtr address, std::size_t size) {
  if (!allocate_) return {};
  if (deallocate_) return instance.call(deallocate_, address, static_cast<GuestSize>(size));
  if (free_) return instance.call(free_, address);
  return {};
}

}  // namespace heddle::sandbox
