// Puts bytes of the host where a guest can read them: into memory that its allocator gives (alloc,
// allocate, malloc or ourchat_alloc; freed with dealloc, deallocate or free), else into pages of
// Heddle's own, used again for every call. One for each instance.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "sandbox/instance.h"
#include "sandbox/own_pages.h"

namespace heddle::sandbox {

class GuestPlacement {
 public:
  // Finds the exports; those of another type do not count.
  void bind(Instance& instance);
  bool has_allocator() const { return static_cast<bool>(allocate_); }

  // Room for `size` bytes, aligned for any type of the guest when it has no allocator. A trap of
  // the allocator; or, with the instance whole, kMemoryLimit when there is no room.
  GuestResult<GuestPtr> reserve(Instance& instance, std::size_t size);
  // The same with the bytes in it.
  GuestResult<GuestPtr> place(Instance& instance, std::string_view bytes);
  // Gives back what reserve() or place() gave last.
  GuestResult<void> release(Instance& instance, GuestPtr address, std::size_t size);

 private:
  GuestResult<GuestPtr> reserve_own(Instance& instance, std::size_t size);

  GuestFunction<GuestPtr(GuestSize)> allocate_;
  GuestFunction<void(GuestPtr, GuestSize)> deallocate_;
  GuestFunction<void(GuestPtr)> free_;
  OwnPages pages_;
};

}  // namespace heddle::sandbox
