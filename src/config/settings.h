// The one table of settings. Everything comes from its rows: the reader, the check for unknown
// keys, the dump of the effective configuration, docs/configuration.md and the JSON Schema. A new
// setting is a member in config.h and a row in settings.cc; its default is the member's
// initialiser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"
#include "config/formats.h"
#include "config/reader.h"

namespace heddle::config {

enum class Type : std::uint8_t {
  kBoolean,
  kInteger,
  kDuration,  // milliseconds
  kSize,      // bytes
  kText,
  kChoice,   // one of `choices`
  kPath,     // a path of the file system; ~ is the home folder
  kTexts,    // a list of strings
  kPairs,    // a map of names to strings
  kPayload,  // a map or list becomes JSON, a string stays as it is
  kObject,   // a map with `rows` of its own
  kList,     // a list of such maps
  kLater,    // known, but without effect in this version
};

// Where a value is kept: one alternative for each type of member in config.h.
using Slot = std::variant<std::monostate, bool*, int*, std::uint32_t*, std::uint64_t*,
                          Milliseconds*, std::string*, LogLevel*, OnFailure*, std::optional<int>*,
                          std::optional<std::string>*, std::vector<std::string>*,
                          std::vector<Match>*, std::map<std::string, std::string>*>;
static_assert(std::is_same_v<std::size_t, std::uint64_t>);

// How a row reaches its member. Rows know objects as void*; `owner` and `item` name the classes,
// and settings.cc asserts at compile time that every table's rows fit the object that they are used
// on.
struct Access {
  const void* owner = nullptr;  // the class that has the member; null: the row only groups, its
                                // rows use the same object
  const void* item = nullptr;   // the class that the row's own rows describe
  Slot (*slot)(void*) = nullptr;
  void* (*object)(void*) = nullptr;           // kObject
  std::size_t (*size)(void*) = nullptr;       // kList
  void* (*at)(void*, std::size_t) = nullptr;  // kList: the item at an index
  void* (*append)(void*) = nullptr;           // kList: a new item with defaults
  std::shared_ptr<void> (*sample)() =
      nullptr;  // kList: an item that belongs to no list, to read its defaults
  void (*locate)(void*, const Location&) = nullptr;  // kList: notes where the item stands
};

// Every member has an initialiser, as rows name only what they need and the compiler warns about
// others. NOLINTBEGIN(readability-redundant-member-init)
struct Setting {
  std::string_view key = {};
  Type type = Type::kText;
  Access member = {};
  std::span<const Setting> rows = {};  // kObject, kList

  std::int64_t min = std::numeric_limits<std::int64_t>::min();  // kInteger, kDuration, kSize
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::span<const std::string_view> choices = {};  // kChoice, kTexts
  std::span<const std::string_view> later_choices =
      {};                        // known values without effect in this version
  Check check = check_text;      // kText, kPath, and the values of kTexts and kPairs
  Check check_key = check_text;  // kPairs

  std::string_view shorthand = {};  // kList: a plain string stands for a map with this key
  std::string_view shown_default =
      {};  // for the documentation, where the member's initialiser does not tell
  std::string_view example = {};  // for hints and the documentation
  std::string_view help = {};     // one sentence
  bool required = false;
  bool one_or_many = false;  // kTexts: a single string stands for a list of one
  bool beside_file =
      false;  // kPath: relative to the file's folder instead of the working directory
  bool needs_restart = false;  // a reload does not change it
  bool secret = false;         // never shown: dumps and messages say ***

  // kLater, later_choices: kError where ignoring it would be unsafe or could not work.
  Problem::Severity severity = Problem::Severity::kWarning;
  std::string_view later = {};  // what is missing, if not the setting itself: "TLS"
  bool off_by_default = false;  // a map without `enabled: true` is only warned about
  std::string_view harmless =
      {};  // kLater: a value that asks for nothing ("false"); `enabled: false` in a map always is
};

// NOLINTEND(readability-redundant-member-init)

// The rows of the whole file.
std::span<const Setting> settings();

namespace access {

template <typename Object>
inline constexpr char kTag = 0;

template <auto Member>
struct Pointer;
template <typename Object, typename Value, Value Object::* Member>
struct Pointer<Member> {
  using Owner = Object;
  using Target = Value;
  static Value& get(void* object) { return static_cast<Object*>(object)->*Member; }
};

// The access of a row with a value.
template <auto Member>
constexpr Access value() {
  using P = Pointer<Member>;
  return {.owner = &kTag<typename P::Owner>,
          .slot = [](void* object) -> Slot { return &P::get(object); }};
}

// The access of a row that describes a member of class type.
template <auto Member>
constexpr Access object() {
  using P = Pointer<Member>;
  return {.owner = &kTag<typename P::Owner>,
          .item = &kTag<typename P::Target>,
          .object = [](void* object) -> void* { return &P::get(object); }};
}

// The access of a row that describes a vector of objects.
template <auto Member>
constexpr Access list() {
  using P = Pointer<Member>;
  using Item = P::Target::value_type;
  return {.owner = &kTag<typename P::Owner>,
          .item = &kTag<Item>,
          .size = [](void* object) { return P::get(object).size(); },
          .at = [](void* object, std::size_t index) -> void* { return &P::get(object).at(index); },
          .append = [](void* object) -> void* { return &P::get(object).emplace_back(); },
          .sample = []() -> std::shared_ptr<void> { return std::make_shared<Item>(); },
          .locate =
              [](void* item, [[maybe_unused]] const Location& location) {
                if constexpr (requires(Item& i) { i.location; }) {
                  static_cast<Item*>(item)->location = location;
                }
              }};
}

}  // namespace access

// For ranges in the tables.
namespace unit {
inline constexpr std::int64_t kKiB = 1 << 10;
inline constexpr std::int64_t kMiB = 1 << 20;
inline constexpr std::int64_t kGiB = 1 << 30;
inline constexpr std::int64_t kDay = 86'400'000;  // milliseconds
inline constexpr std::int64_t kYear = 366 * kDay;
inline constexpr std::int64_t kMillion = 1'000'000;
}  // namespace unit

}  // namespace heddle::config
