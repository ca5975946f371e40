// Where Heddle puts bytes into a guest's memory: with the guest's allocator (`alloc` or
// `allocate`), or, where it has none, in pages of its own that it grows once and uses again. One
// per instance.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "sandbox/instance.h"
#include "sandbox/own_pages.h"

namespace heddle::route {

class GuestPlacement {
 public:
  // Looks up the allocator. Errors: one of the exports has another type.
  Result<void> find(sandbox::Instance& instance);

  const sandbox::GuestFunction<sandbox::GuestPtr(sandbox::GuestSize)>& alloc() const {
    return alloc_;
  }
  const sandbox::GuestFunction<void(sandbox::GuestPtr, sandbox::GuestSize)>& dealloc() const {
    return dealloc_;
  }

  // Where there is no allocator; what one request needs lies side by side.
  sandbox::OwnPages& own() { return own_; }

  // From within a host function: the length (u32, little-endian), `text`, and a NUL; the address of
  // the length. Nothing: no memory, or the guest ends with a trap.
  std::optional<sandbox::GuestPtr> put_result(sandbox::Instance& instance, std::string_view text);

 private:
  sandbox::GuestFunction<sandbox::GuestPtr(sandbox::GuestSize)> alloc_;
  sandbox::GuestFunction<void(sandbox::GuestPtr, sandbox::GuestSize)> dealloc_;
  sandbox::OwnPages own_;
};

// Writes `bytes` at `address`; false when that is null or out of bounds.
bool write_bytes(sandbox::Instance& instance, sandbox::GuestPtr address, std::string_view bytes);

}  // namespace heddle::route
