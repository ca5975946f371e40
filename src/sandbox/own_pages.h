// Room for the host's bytes in a guest that has no allocator: pages of Heddle's own, added to its
// memory once and used again. One for each instance.
#pragma once

#include <cstddef>
#include <optional>

#include "sandbox/instance.h"

namespace heddle::sandbox {

class OwnPages {
 public:
  // Aligned for any type of the guest, and never at address 0, which languages take for a null
  // pointer. Nothing: the memory cannot grow.
  std::optional<GuestPtr> room(Instance& instance, std::size_t bytes);
  // All that was given may be overwritten.
  void forget() { used_ = 0; }

 private:
  bool grow(Instance& instance, std::size_t wanted);

  std::size_t start_ = 0;  // 0: there are none yet
  std::size_t size_ = 0;
  std::size_t used_ = 0;
};

}  // namespace heddle::sandbox
