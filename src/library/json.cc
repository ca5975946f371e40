#include "heddle/json.h"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parser.hpp>
#include <cmath>
#include <memory>
#include <new>

#include "base/json_parse.h"
#include "base/json_write.h"
#include "library/errors.h"
#include "library/json_access.h"

namespace heddle::v1 {
namespace {

namespace json = boost::json;

constexpr std::size_t kParseBuffer = 2048;
const Json kNull;

}  // namespace

Json::Json() noexcept {
  new (&storage_) json::value();
}

Json::Json(std::string_view text) {
  new (&storage_) json::value(json::string(text));
}

// The params of host methods live in memory that goes with them; copies must not.
Json::Json(const Json& other) {
  new (&storage_) json::value(JsonAccess::of(other), json::storage_ptr());
}

Json::Json(Json&& other) noexcept {
  new (&storage_) json::value(std::move(JsonAccess::of(other)));
}

// NOLINTNEXTLINE(bugprone-unhandled-self-assignment): the value's own does
Json& Json::operator=(const Json& other) {
  JsonAccess::of(*this) = JsonAccess::of(other);
  return *this;
}

Json& Json::operator=(Json&& other) noexcept {
  JsonAccess::of(*this) = std::move(JsonAccess::of(other));
  return *this;
}

Json::~Json() {
  std::destroy_at(&JsonAccess::of(*this));
}

void Json::set_bool(bool value) {
  JsonAccess::of(*this) = value;
}

void Json::set_signed(std::int64_t value) {
  JsonAccess::of(*this) = value;
}

void Json::set_unsigned(std::uint64_t value) {
  JsonAccess::of(*this) = value;
}

void Json::set_double(double value) {
  if (!std::isfinite(value)) return;  // null stays
  JsonAccess::of(*this) = value;
}

Json Json::array(std::initializer_list<Json> items) {
  json::array out;
  out.reserve(items.size());
  for (const Json& item : items) out.push_back(JsonAccess::of(item));
  return JsonAccess::wrap(std::move(out));
}

Json Json::object(std::initializer_list<std::pair<std::string_view, Json>> members) {
  json::object out;
  out.reserve(members.size());
  for (const auto& [key, value] : members) out.insert_or_assign(key, JsonAccess::of(value));
  return JsonAccess::wrap(std::move(out));
}

Result<Json> Json::parse(std::string_view text) {
  std::array<unsigned char, kParseBuffer> buffer;
  json::parser parser({}, json::parse_options{.max_depth = library::kMaxJsonDepth}, buffer.data(),
                      buffer.size());
  boost::system::error_code error;
  const std::size_t read = parser.write_some(text, error);
  if (!error && read == text.size()) {
    json::value out = parser.release();
    keep_to_doubles(out);
    return JsonAccess::wrap(std::move(out));
  }
  return std::unexpected(library::not_json({error ? error.message() : "extra data", read}));
}

std::string Json::dump() const {
  return write_json(JsonAccess::of(*this));
}

Json::Type Json::type() const {
  switch (JsonAccess::of(*this).kind()) {
    case json::kind::bool_:
      return Type::kBool;
    case json::kind::int64:
    case json::kind::uint64:
      return Type::kInteger;
    case json::kind::double_:
      return Type::kDouble;
    case json::kind::string:
      return Type::kString;
    case json::kind::array:
      return Type::kArray;
    case json::kind::object:
      return Type::kObject;
    default:
      return Type::kNull;
  }
}

std::optional<bool> Json::boolean() const {
  const bool* value = JsonAccess::of(*this).if_bool();
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<std::int64_t> Json::integer() const {
  const json::value& value = JsonAccess::of(*this);
  if (!value.is_number()) return std::nullopt;
  boost::system::error_code error;
  const auto out = value.to_number<std::int64_t>(error);
  return error ? std::nullopt : std::optional(out);
}

std::optional<double> Json::number() const {
  const json::value& value = JsonAccess::of(*this);
  if (!value.is_number()) return std::nullopt;
  boost::system::error_code error;
  const auto out = value.to_number<double>(error);
  return error ? std::nullopt : std::optional(out);
}

std::string_view Json::text() const {
  const json::string* value = JsonAccess::of(*this).if_string();
  return value == nullptr ? std::string_view() : std::string_view(*value);
}

std::size_t Json::size() const {
  const json::value& value = JsonAccess::of(*this);
  if (const auto* object = value.if_object()) return object->size();
  if (const auto* array = value.if_array()) return array->size();
  return 0;
}

const Json& Json::operator[](std::string_view key) const {
  const auto* object = JsonAccess::of(*this).if_object();
  const json::value* found = object == nullptr ? nullptr : object->if_contains(key);
  return found == nullptr ? kNull : JsonAccess::view(*found);
}

const Json& Json::operator[](std::size_t index) const {
  const auto* array = JsonAccess::of(*this).if_array();
  const json::value* found = array == nullptr ? nullptr : array->if_contains(index);
  return found == nullptr ? kNull : JsonAccess::view(*found);
}

bool Json::contains(std::string_view key) const {
  const auto* object = JsonAccess::of(*this).if_object();
  return object != nullptr && object->contains(key);
}

std::vector<std::string_view> Json::keys() const {
  std::vector<std::string_view> out;
  if (const auto* object = JsonAccess::of(*this).if_object()) {
    out.reserve(object->size());
    for (const auto& member : *object) out.emplace_back(member.key());
  }
  return out;
}

Json& Json::set(std::string_view key, Json value) {
  json::value& self = JsonAccess::of(*this);
  if (!self.is_object()) self.emplace_object();
  self.get_object().insert_or_assign(key, std::move(JsonAccess::of(value)));
  return *this;
}

Json& Json::push_back(Json value) {
  json::value& self = JsonAccess::of(*this);
  if (!self.is_array()) self.emplace_array();
  self.get_array().push_back(std::move(JsonAccess::of(value)));
  return *this;
}

bool Json::equals(const Json& other) const {
  return JsonAccess::of(*this) == JsonAccess::of(other);
}

std::string_view to_string(ErrorKind kind) {
  static constexpr std::array<std::string_view, 8> kNames{
      "invalid_argument", "not_found", "conflict", "permission", "limit",
      "unavailable",      "plugin",    "internal"};
  return kNames[static_cast<std::size_t>(kind)];
}

}  // namespace heddle::v1
