#include "contracts/route/manifest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "base/json_parse.h"
#include "base/json_write.h"
#include "contracts/route/json_members.h"
#include "contracts/route/route_path.h"

namespace heddle::route {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxName = 64;
constexpr std::array<std::string_view, 7> kMethods = {"GET",    "POST", "PUT",    "PATCH",
                                                      "DELETE", "HEAD", "OPTIONS"};

std::unexpected<Error> wrong(std::string_view path, std::string_view text) {
  return fail(ErrorKind::kInvalidArgument, fmt::format("{}: {}", path, text));
}

std::string_view kind_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
    default:
      return "a number";
  }
}

// "line 3, column 7" of a byte.
std::string place_of(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::size_t start = before.rfind('\n');
  const std::size_t column = offset - (start == std::string_view::npos ? 0 : start + 1) + 1;
  return fmt::format("line {}, column {}", line, column);
}

Result<json::value> read_json(std::string_view text) {
  if (text.size() > kMaxManifest) {
    return wrong("$",
                 fmt::format("is {} bytes long; at most {} are read", text.size(), kMaxManifest));
  }
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  json::parser parser({}, options);
  boost::system::error_code error;
  const std::size_t read = parser.write_some(text.data(), text.size(), error);
  std::string_view rest = text.substr(std::min(read, text.size()));
  if (!error) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
    if (!rest.empty()) error = json::error::extra_data;
  }
  if (error) {
    return wrong("$", fmt::format("is not JSON: {} at {}", error.message(),
                                  place_of(text, text.size() - rest.size())));
  }
  json::value out = parser.release();
  keep_to_doubles(out);
  return out;
}

// The first thing that is wrong; what comes later does not count.
class Findings {
 public:
  void add(std::string_view path, std::string_view text) {
    if (!first_) first_ = wrong(path, text).error();
  }
  bool any() const { return first_.has_value(); }
  std::unexpected<Error> take() { return std::unexpected(std::move(*first_)); }

 private:
  std::optional<Error> first_;
};

// One object of the manifest. Values that are absent or null leave what they would set as it is.
class Reader {
 public:
  Reader(const json::object& object, std::string path, Findings& findings)
      : object_(object), path_(std::move(path)), findings_(findings) {}

  std::string at(std::string_view key) const { return fmt::format("{}.{}", path_, key); }
  void add(std::string_view key, std::string_view text) const { findings_.add(at(key), text); }
  void wrong_kind(std::string_view key, std::string_view wanted, const json::value& value) const {
    add(key, fmt::format("must be {}, but is {}", wanted, kind_of(value)));
  }
  const json::value* find(std::string_view key) const {
    const json::value* value = object_.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  void text(std::string_view key, std::string& out) const {
    const json::value* value = find(key);
    if (value == nullptr) return;
    if (!value->is_string()) return wrong_kind(key, "a string", *value);
    out = value->get_string();
  }

  std::string required_text(std::string_view key) const {
    std::string out;
    text(key, out);
    if (out.empty()) add(key, find(key) == nullptr ? "is missing" : "is empty");
    return out;
  }

  void boolean(std::string_view key, bool& out) const {
    const json::value* value = find(key);
    if (value == nullptr) return;
    if (!value->is_bool()) return wrong_kind(key, "true or false", *value);
    out = value->get_bool();
  }

  // A JSON Schema: an object, or true or false.
  void schema(std::string_view key, std::string& out) const {
    const json::value* value = find(key);
    if (value == nullptr) return;
    if (!value->is_object() && !value->is_bool()) {
      return wrong_kind(key, "a JSON Schema (an object)", *value);
    }
    out = write_json(*value);
  }

  // Milliseconds as a number, or "500ms", "5s", "1m".
  void duration(std::string_view key, std::chrono::milliseconds& out) const {
    constexpr std::int64_t kMost = 3'600'000;
    const json::value* value = find(key);
    if (value == nullptr) return;
    std::int64_t amount = 0;
    std::int64_t unit = 1;
    if (value->is_int64()) {
      amount = value->get_int64();
    } else if (value->is_string()) {
      const std::string_view text = value->get_string();
      const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
      const std::string_view suffix = text.substr(static_cast<std::size_t>(rest - text.data()));
      unit = suffix == "ms" ? 1 : suffix == "s" ? 1'000 : suffix == "m" ? 60'000 : 0;
      if (error != std::errc{} || unit == 0) {
        return add(key, fmt::format(R"("{}" is no duration; for example "5s" or 5000)", text));
      }
    } else {
      return wrong_kind(key, "milliseconds or a duration like \"5s\"", *value);
    }
    if (amount <= 0 || amount > kMost / unit)
      return add(key, "must be more than 0, at most an hour");
    out = std::chrono::milliseconds(amount * unit);
  }

  // Null when it is absent or wrong.
  const json::array* array(std::string_view key) const {
    const json::value* value = find(key);
    if (value == nullptr) return nullptr;
    if (!value->is_array()) wrong_kind(key, "an array", *value);
    return value->if_array();
  }

 private:
  const json::object& object_;
  std::string path_;
  Findings& findings_;
};

std::string method_of(const Reader& route) {
  std::string method = route.required_text("method");
  std::ranges::transform(method, method.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  });
  if (std::ranges::find(kMethods, method) == kMethods.end()) {
    route.add("method", fmt::format("\"{}\" is none of {}", method, fmt::join(kMethods, ", ")));
  }
  return method;
}

ManifestRoute read_route(const Reader& reader) {
  ManifestRoute out;
  out.path = reader.required_text("path");
  if (auto pattern = to_pattern(out.path)) {
    out.pattern = std::move(*pattern);
  } else {
    reader.add("path", fmt::format("\"{}\": {}", out.path, pattern.error().message));
  }
  out.method = method_of(reader);
  out.handler = reader.required_text("handler");
  reader.boolean("requires_auth", out.auth);
  reader.boolean("auth", out.auth);
  reader.duration("timeout", out.timeout);
  reader.text("description", out.description);
  reader.schema("request_schema", out.request_schema);
  reader.schema("response_schema", out.response_schema);
  return out;
}

void read_routes(const Reader& manifest, RouteManifest& out, Findings& findings) {
  const json::array* routes = manifest.array("routes");
  if (routes == nullptr) return;
  if (routes->size() > kMaxRoutes) {
    return manifest.add(
        "routes", fmt::format("has {} routes; at most {} are taken", routes->size(), kMaxRoutes));
  }
  std::map<std::string, std::size_t> known;  // by method and shape
  for (std::size_t i = 0; i < routes->size() && !findings.any(); ++i) {
    const std::string path = fmt::format("$.routes[{}]", i);
    const json::value& value = (*routes)[i];
    if (!value.is_object()) {
      return findings.add(path, fmt::format("must be an object, but is {}", kind_of(value)));
    }
    ManifestRoute route = read_route(Reader(value.get_object(), path, findings));
    const auto [first, fresh] = known.emplace(route.method + " " + shape_of(route.pattern), i);
    if (!fresh) {
      findings.add(path, fmt::format("{} {} is served by $.routes[{}] already; remove one of them",
                                     route.method, route.path, first->second));
    }
    out.routes.push_back(std::move(route));
  }
}

bool is_event_name(std::string_view name) {
  if (name == "*") return true;
  if (name.ends_with(".*")) name.remove_suffix(2);
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

void read_events(const Reader& manifest, RouteManifest& out, Findings& findings) {
  const json::array* events = manifest.array("events");
  if (events == nullptr) return;
  if (events->size() > kMaxEvents) {
    return manifest.add(
        "events", fmt::format("has {} entries; at most {} are taken", events->size(), kMaxEvents));
  }
  for (std::size_t i = 0; i < events->size(); ++i) {
    const std::string path = fmt::format("$.events[{}]", i);
    const json::value& value = (*events)[i];
    if (!value.is_object()) {
      return findings.add(path, fmt::format("must be an object, but is {}", kind_of(value)));
    }
    const Reader event(value.get_object(), path, findings);
    ManifestEvent& one = out.events.emplace_back();
    one.name = event.required_text("name");
    one.handler = event.required_text("handler");
    if (findings.any() || is_event_name(one.name)) continue;
    event.add("name", fmt::format("\"{}\" is no event: letters, digits and . - _, with .* at the "
                                  "end for all that begin so, or * for all",
                                  one.name));
  }
}

void check_name(const Reader& manifest, const std::string& name) {
  const bool plain = name.size() <= kMaxName && std::ranges::all_of(name, [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '_';
                     });
  if (!plain) {
    manifest.add("name", fmt::format("\"{}\" is no name: up to {} letters, digits, - and _", name,
                                     kMaxName));
  }
}

// The file that the package has; it cannot lead out of the package.
void check_entry(const Reader& manifest, const std::string& entry) {
  if (entry.starts_with('/') || entry.contains('\\') || entry.contains('\0') ||
      ("/" + entry + "/").contains("/../")) {
    manifest.add("wasm_entry", "must name a file of the package, without .. and not from /");
  }
}

void read_rest(const Reader& manifest, RouteManifest& out) {
  if (const json::array* permissions = manifest.array("permissions")) {
    for (const json::value& value : *permissions) {
      out.permissions.emplace_back(value.is_string() ? std::string(value.get_string())
                                                     : write_json(value));
    }
  }
  if (const json::array* pages = manifest.array("pages")) {
    for (std::size_t i = 0; i < pages->size(); ++i) {
      if ((*pages)[i].is_object()) continue;
      manifest.add(fmt::format("pages[{}]", i),
                   fmt::format("must be an object, but is {}", kind_of((*pages)[i])));
    }
    out.pages = write_json(*pages);
  }
}

}  // namespace

Result<RouteManifest> parse_manifest(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte-order mark
  const auto value = read_json(text);
  if (!value) return std::unexpected(value.error());
  if (!value->is_object()) {
    return wrong("$", fmt::format("must be an object, but is {}", kind_of(*value)));
  }
  Findings findings;
  const Reader manifest(value->get_object(), "$", findings);
  RouteManifest out;
  out.name = manifest.required_text("name");
  check_name(manifest, out.name);
  out.version = manifest.required_text("version");
  manifest.text("description", out.description);
  manifest.text("author", out.author);
  manifest.text("wasm_entry", out.wasm_entry);
  check_entry(manifest, out.wasm_entry);
  read_routes(manifest, out, findings);
  read_events(manifest, out, findings);
  read_rest(manifest, out);
  if (findings.any()) return findings.take();
  for (const auto& [key, member] : json_members(text)) {  // of several the last
    if (key == "config") out.config = member;
  }
  out.text = text;
  return out;
}

}  // namespace heddle::route
