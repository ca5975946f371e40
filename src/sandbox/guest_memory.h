// The linear memory of a guest, as one view that is valid until the guest runs again (it may grow).
// Every access checks bounds; guest addresses and lengths are untrusted.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace heddle::sandbox {

using GuestPtr = std::uint32_t;  // an address in guest memory
using GuestSize = std::uint32_t;

class GuestMemory {
 public:
  GuestMemory() = default;
  GuestMemory(char* base, std::size_t size) : base_(base), size_(size) {}

  std::size_t size() const { return size_; }

  // [address, address + length) when it lies inside.
  std::optional<std::string_view> view(GuestPtr address, GuestSize length) const {
    if (std::uint64_t{address} + length > size_) return std::nullopt;
    return std::string_view(base_ + address, length);
  }
  std::optional<std::span<char>> span(GuestPtr address, GuestSize length) const {
    if (std::uint64_t{address} + length > size_) return std::nullopt;
    return std::span<char>(base_ + address, length);
  }

  // Little-endian, any alignment. False when out of bounds.
  template <typename T>
  bool store(GuestPtr address, T value) const {
    if (std::uint64_t{address} + sizeof value > size_) return false;
    std::memcpy(base_ + address, &value, sizeof value);
    return true;
  }
  template <typename T>
  std::optional<T> load(GuestPtr address) const {
    if (std::uint64_t{address} + sizeof(T) > size_) return std::nullopt;
    T value;
    std::memcpy(&value, base_ + address, sizeof value);
    return value;
  }

 private:
  char* base_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace heddle::sandbox
