// One version of a message_hook plugin, as all its instances share it: immutable but for its
// record.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "extension/plugin_contract.h"
#include "extension/plugin_record.h"
#include "sandbox/instance.h"

namespace heddle::message_hook {

enum class Callback : std::uint8_t {
  kLoad,
  kUnload,
  kEnable,
  kDisable,
  kSend,
  kSent,
};
inline constexpr std::size_t kCallbacks = static_cast<std::size_t>(Callback::kSent) + 1;
inline constexpr std::array<std::string_view, kCallbacks> kCallbackNames = {
    "on_plugin_load",    "on_plugin_unload", "on_plugin_enable",
    "on_plugin_disable", "on_message_send",  "on_message_sent"};

constexpr std::string_view to_string(Callback callback) {
  return kCallbackNames.at(static_cast<std::size_t>(callback));
}

// How a plugin declares a callback. Three types of the first four are in use: the guide's, its
// example's, and the real server's.
enum class Shape : std::uint8_t {
  kAbsent,
  kNothing,      // () -> ()
  kResult,       // () -> i32
  kBytes,        // (i32, i32) -> ()
  kBytesResult,  // (i32, i32) -> i32
};

struct Version {
  extension::PluginSpec spec;
  std::shared_ptr<const sandbox::LinkedModule> linked;
  std::array<Shape, kCallbacks> shapes{};
  std::shared_ptr<extension::PluginRecord> record;

  Shape shape(Callback callback) const { return shapes.at(static_cast<std::size_t>(callback)); }
};

}  // namespace heddle::message_hook
