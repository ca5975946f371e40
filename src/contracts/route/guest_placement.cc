#include "contracts/route/guest_placement.h"

#include <cstdint>
#include <cstring>
#include <limits>

namespace heddle::route {
namespace {

constexpr std::size_t kPrefix = 4;

template <typename Signature>
Result<sandbox::GuestFunction<Signature>> find_either(sandbox::Instance& instance,
                                                      std::string_view one,
                                                      std::string_view other) {
  auto found = instance.function<Signature>(one);
  if (!found || *found) return found;
  return instance.function<Signature>(other);
}

}  // namespace

Result<void> GuestPlacement::find(sandbox::Instance& instance) {
  auto alloc = find_either<sandbox::GuestPtr(sandbox::GuestSize)>(instance, "alloc", "allocate");
  if (!alloc) return std::unexpected(std::move(alloc.error()));
  auto dealloc =
      find_either<void(sandbox::GuestPtr, sandbox::GuestSize)>(instance, "dealloc", "deallocate");
  if (!dealloc) return std::unexpected(std::move(dealloc.error()));
  alloc_ = *alloc;
  dealloc_ = *dealloc;
  return {};
}

std::optional<sandbox::GuestPtr> GuestPlacement::put_result(sandbox::Instance& instance,
                                                            std::string_view text) {
  if (text.size() > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  const std::size_t whole = kPrefix + text.size() + 1;
  std::optional<sandbox::GuestPtr> address;
  if (alloc_) {
    const auto given = instance.call(alloc_, static_cast<sandbox::GuestSize>(whole));
    if (!given) return std::nullopt;
    address = *given;
  } else {
    address = own_.room(instance, whole);
  }
  if (!address || *address == 0) return std::nullopt;
  const auto place = instance.memory().span(*address, static_cast<sandbox::GuestSize>(whole));
  if (!place) return std::nullopt;
  const auto length = static_cast<std::uint32_t>(text.size());
  std::memcpy(place->data(), &length, kPrefix);
  if (!text.empty()) std::memcpy(place->data() + kPrefix, text.data(), text.size());
  place->back() = '\0';
  return address;
}

bool write_bytes(sandbox::Instance& instance, sandbox::GuestPtr address, std::string_view bytes) {
  if (address == 0) return false;
  const auto place = instance.memory().span(address, static_cast<sandbox::GuestSize>(bytes.size()));
  if (!place) return false;
  if (!bytes.empty()) std::memcpy(place->data(), bytes.data(), bytes.size());
  return true;
}

}  // namespace heddle::route
