#include "sandbox/own_pages.h"

#include <algorithm>

namespace heddle::sandbox {
namespace {

constexpr std::size_t kAlignment = 16;

}  // namespace

std::optional<GuestPtr> OwnPages::room(Instance& instance, std::size_t bytes) {
  const std::size_t wanted = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if ((start_ == 0 || used_ + wanted > size_) && !grow(instance, wanted)) return std::nullopt;
  const std::size_t address = start_ + used_;
  used_ += wanted;
  return static_cast<GuestPtr>(address);
}

// Pages at the end of the memory continue the last ones unless the guest grew it meanwhile.
bool OwnPages::grow(Instance& instance, std::size_t wanted) {
  const std::size_t end = instance.memory_bytes();
  const bool joins = start_ != 0 && start_ + size_ == end;
  const std::size_t missing = joins ? used_ + wanted - size_ : wanted;
  const auto grown = instance.grow_memory(end == 0 ? missing + kAlignment : missing);
  if (!grown) return false;
  if (!joins) {
    start_ = std::max<std::size_t>(*grown, kAlignment);
    used_ = 0;
  }
  size_ = instance.memory_bytes() - start_;
  return true;
}

}  // namespace heddle::sandbox
