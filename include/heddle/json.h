// JSON values and errors: what calls take and give.
//
//   heddle::Json tags = heddle::Json::array({1, 2});
//   heddle::Json params = heddle::Json::object({{"name", "Ada"}, {"tags", tags}});
//   params["name"].text();       // "Ada"
//   params["tags"][1].integer()  // 2
//   params["none"].is_null()     // true: what is not there reads as null
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "heddle/version.h"

// NOLINTNEXTLINE(modernize-concat-nested-namespaces): the inner one is the macro's
namespace heddle {
HEDDLE_API_BEGIN

struct Error;

// What every function returns whose failure is expected: a value, or an Error.
template <typename T>
using Result = std::expected<T, Error>;

// One JSON value of any type; a value type, as std::string is. Reading never fails: what is
// absent or of another type reads as null or as nothing. Not synchronised: many threads may read
// one value at a time, or one may change it.
class HEDDLE_EXPORT Json {
 public:
  enum class Type : std::uint8_t { kNull, kBool, kInteger, kDouble, kString, kArray, kObject };

  Json() noexcept;  // null
  // Not explicit: literals are JSON values as they stand. Infinities and NaN, which JSON lacks,
  // become null.
  Json(std::nullptr_t) noexcept : Json() {}
  template <typename T>
    requires std::is_arithmetic_v<T>
  Json(T value) : Json() {
    if constexpr (std::is_same_v<T, bool>) {
      set_bool(value);
    } else if constexpr (std::is_floating_point_v<T>) {
      set_double(value);
    } else if constexpr (std::is_signed_v<T>) {
      set_signed(value);
    } else {
      set_unsigned(value);
    }
  }
  Json(std::string_view text);  // a string; UTF-8
  Json(const char* text) : Json(std::string_view(text)) {}
  Json(const std::string& text) : Json(std::string_view(text)) {}
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();

  static Json array(std::initializer_list<Json> items = {});
  static Json object(std::initializer_list<std::pair<std::string_view, Json>> members = {});

  // One JSON text (RFC 8259), at most 64 levels deep. The error says what is wrong and where.
  static Result<Json> parse(std::string_view text);
  // The text, without any white space.
  std::string dump() const;

  Type type() const;
  bool is_null() const { return type() == Type::kNull; }
  bool is_array() const { return type() == Type::kArray; }
  bool is_object() const { return type() == Type::kObject; }
  std::optional<bool> boolean() const;
  // Numbers without a fraction that fit.
  std::optional<std::int64_t> integer() const;
  std::optional<double> number() const;
  // Valid until the value changes; empty when it is no string.
  std::string_view text() const;
  bool is_text() const { return type() == Type::kString; }

  // Members of an object, items of an array; else 0.
  std::size_t size() const;
  // null when there is none. Valid until the value changes.
  const Json& operator[](std::string_view key) const;
  const Json& operator[](const char* key) const { return (*this)[std::string_view(key)]; }
  const Json& operator[](std::size_t index) const;
  const Json& operator[](int index) const { return (*this)[static_cast<std::size_t>(index)]; }
  bool contains(std::string_view key) const;
  // Of an object, in their order. Valid until the value changes.
  std::vector<std::string_view> keys() const;

  // Makes an object, or an array, of what is none. Returns this.
  Json& set(std::string_view key, Json value);
  Json& push_back(Json value);

  // Numbers are equal by value: 1 and 1u; an object's order does not count.
  friend bool operator==(const Json& a, const Json& b) { return a.equals(b); }

 private:
  friend struct JsonAccess;

  void set_bool(bool value);
  void set_signed(std::int64_t value);
  void set_unsigned(std::uint64_t value);
  void set_double(double value);
  bool equals(const Json& other) const;

  alignas(8) std::byte storage_[24];
};

// What went wrong, coarsely: programs branch on the kind and show the message.
enum class ErrorKind : std::uint8_t {
  kInvalidArgument,  // what the caller passed is wrong: options, params, a module
  kNotFound,         // a file, or a method of the plugin, does not exist
  kConflict,         // the thing exists already, or is in use
  kPermission,       // refused by the operating system
  kLimit,            // a limit was reached; `cause` names it
  kUnavailable,      // a resource cannot be reached now
  kPlugin,           // the plugin answered with an error of its own, or trapped, or did not answer
  kInternal,         // a defect of Heddle
};
HEDDLE_EXPORT std::string_view to_string(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message = {};  // what failed, and what to do
  // Of calls: the code of the JSON-RPC error object (-32601: no such method); else 0. A host
  // method that fails with code 0 sends -32603.
  int code = 0;
  // Of calls: a word for the cause, such as "timeout", "memory_limit", "no_answer", "not_json",
  // "unreachable"; "plugin_error" when the plugin itself answered so. Else empty.
  std::string cause = {};
  Json data = {};  // of the JSON-RPC error object; null: none
};

// Shorthand for host methods: `return heddle::fail(-32602, "params must be a number");`
inline std::unexpected<Error> fail(int code, std::string message, Json data = {}) {
  return std::unexpected(Error{.kind = ErrorKind::kPlugin,
                               .message = std::move(message),
                               .code = code,
                               .cause = {},
                               .data = std::move(data)});
}

HEDDLE_API_END
}  // namespace heddle
