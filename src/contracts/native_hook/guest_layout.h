// Events as the ABI lays them out in a wasm32 guest: structs first, then what their pointers point
// to, in one piece of memory. Sizes and offsets are those that qpc_plugin.h asserts for four-byte
// pointers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "extension/message_hook.h"
#include "sandbox/guest_memory.h"

namespace heddle::native_hook {

// Arguments of a slot, after user_data, and the bytes that they point into.
class GuestLayout {
 public:
  explicit GuestLayout(const extension::MessageEvent& event);
  explicit GuestLayout(const extension::HookEvent& event);

  std::size_t size() const { return bytes_.size(); }
  // The bytes, with addresses for a copy that lies at `base`.
  const std::string& bytes_at(sandbox::GuestPtr base);
  const std::vector<std::int32_t>& arguments() const { return arguments_; }

 private:
  void start(std::size_t struct_size, std::size_t count = 1) {
    bytes_.assign(struct_size * count, '\0');
  }
  void number(std::size_t offset, std::uint64_t value, std::size_t size = 4);
  // A pointer to a copy of the text, and its length in the next field; empty is null unless it ends
  // with NUL.
  void text(std::size_t offset, std::string_view text, bool terminated);
  void message(std::size_t offset, const extension::MessageEvent& event);
  // An argument that points to this place in the bytes.
  void point_argument(std::size_t offset);

  void lay(const extension::SentEvent& event);
  void lay(const extension::BatchEvent& event);
  void lay(const extension::AuthEvent& event);
  void lay(const extension::ChannelEvent& event);
  void lay(const extension::FetchEvent& event);
  void lay(const extension::UserEvent& event);

  std::string bytes_;
  std::vector<std::size_t> pointers_;  // offsets of fields that hold offsets, until bytes_at()
  std::vector<std::size_t> pointing_arguments_;
  std::vector<std::int32_t> arguments_;
};

}  // namespace heddle::native_hook
