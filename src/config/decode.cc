#include "config/decode.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <type_traits>
#include <utility>

#include "config/json.h"
#include "config/scalars.h"

namespace heddle::config {
namespace {

constexpr std::string_view kNotYet = "not in this version of Heddle";

template <typename T>
T* slot_as(const Slot& slot) {
  T* const* pointer = std::get_if<T*>(&slot);
  return pointer == nullptr ? nullptr : *pointer;
}

void store_number(const Slot& slot, std::int64_t number) {
  std::visit(
      [number](auto target) {
        using Target = std::remove_pointer_t<decltype(target)>;
        if constexpr (std::is_same_v<Target, std::optional<int>>) {
          *target = static_cast<int>(number);
        } else if constexpr (std::is_same_v<Target, Milliseconds> || std::is_integral_v<Target>) {
          *target = static_cast<Target>(number);
        }
      },
      slot);
}

void store_choice(const Slot& slot, const Setting& row, const std::string& text) {
  if (auto* string = slot_as<std::string>(slot)) *string = text;
  if (auto* level = slot_as<LogLevel>(slot))
    *level = parse_log_level(text).value_or(LogLevel::kInfo);
  if (auto* action = slot_as<OnFailure>(slot)) {
    *action = static_cast<OnFailure>(std::ranges::find(row.choices, text) - row.choices.begin());
  }
}

std::string format_number(Type type, std::int64_t number) {
  if (type == Type::kDuration) return format_duration(number);
  return type == Type::kSize ? format_size(number) : std::to_string(number);
}

// "from 1 to 10", "at least 1"
std::string format_range(const Setting& row) {
  if (row.max == std::numeric_limits<std::int64_t>::max()) {
    return concat("at least ", format_number(row.type, row.min));
  }
  return concat("from ", format_number(row.type, row.min), " to ",
                format_number(row.type, row.max));
}

std::string example_hint(const Setting& row) {
  if (row.example.empty()) {
    return row.type == Type::kList ? "each item is a map that begins with a dash: - key: value"
                                   : "";
  }
  return concat("for example ", row.key, ": ", row.example);
}

Parsed<std::int64_t> parse_number(Type type, const std::string& text) {
  if (type == Type::kDuration) return parse_duration(text);
  return type == Type::kSize ? parse_size(text) : parse_integer(text);
}

std::vector<std::string_view> keys_of(std::span<const Setting> rows) {
  std::vector<std::string_view> keys;
  for (const Setting& row : rows) {
    if (row.type != Type::kLater) keys.push_back(row.key);
  }
  return keys;
}

// The keys of a map for a hint; of a large map the first ones.
std::string list_keys(std::span<const std::string_view> keys) {
  static constexpr std::size_t kShown = 12;
  if (keys.size() <= kShown) return join(keys);
  return concat(join(keys.first(kShown)), ", …");
}

std::string resolve_path(const std::string& text, const std::string& folder) {
  const std::filesystem::path path = expand_home(text);
  if (path.empty() || path.is_absolute() || folder.empty()) return path.string();
  return (std::filesystem::path(folder) / path).lexically_normal().string();
}

bool has_variables(const Node& node) {
  return node.text.contains("${") || std::ranges::any_of(node.items, has_variables);
}

}  // namespace

std::string child_path(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : concat(path, ".", key);
}

std::string item_path(std::string_view path, std::size_t index) {
  return concat(path, "[", std::to_string(index), "]");
}

std::string expand_home(std::string_view path) {
  if (path != "~" && !path.starts_with("~/")) return std::string(path);
  const char* home = std::getenv("HOME");
  return home == nullptr ? std::string(path) : concat(home, path.substr(1));
}

Mark Places::of(std::string_view path) const {
  while (true) {
    if (const auto found = marks_.find(path); found != marks_.end()) return found->second;
    const std::size_t end = path.find_last_of(".[");
    if (end == std::string_view::npos) return {};
    path = path.substr(0, end);
  }
}

void Decoder::decode(const Node& node, std::span<const Setting> rows, void* object,
                     const std::string& path) {
  if (!node.is_map()) {
    problems_.error(
        node.mark, path, concat("expected a map, found ", describe(node)),
        concat("a map is written as key: value, with the keys ", list_keys(keys_of(rows))));
    return;
  }
  check_keys(node, rows, path);
  for (const Setting& row : rows) {
    const std::string own_path = child_path(path, row.key);
    const Target target{.row = row, .object = object, .path = own_path};
    const Node* value = node.find(row.key);
    if (value != nullptr && !value->is_null()) {
      places_.note(own_path, value->mark);
      if (row.type == Type::kLater) {
        const auto key = std::ranges::find(node.keys, row.key, &Node::Key::text);
        read_later(*value, key->mark, target);
      } else {
        read(*value, target);
      }
    } else if (row.required) {
      problems_.error(node.mark, own_path, "is missing", example_hint(row));
    }
  }
}

void Decoder::check_keys(const Node& node, std::span<const Setting> rows, const std::string& path) {
  for (const Node::Key& key : node.keys) {
    const bool known = std::ranges::find(rows, key.text, &Setting::key) != rows.end();
    // Top-level keys that begin with x- hold what anchors share.
    const bool extension = path.empty() && key.text.starts_with("x-");
    if (!known && !extension) unknown_key(key, rows, path);
  }
}

void Decoder::unknown_key(const Node::Key& key, std::span<const Setting> rows,
                          const std::string& path) {
  const std::vector<std::string_view> known = keys_of(rows);
  const std::string_view near = nearest(key.text, known);
  std::string hint = near.empty() ? concat("known here: ", list_keys(known))
                                  : concat("did you mean \"", near, "\"?");
  const auto severity = lenient_ ? Problem::Severity::kWarning : Problem::Severity::kError;
  std::string message = concat("unknown key ", quote(key.text));
  if (lenient_) message += "; ignored";
  problems_.add(severity, problems_.location(key.mark), path, std::move(message), std::move(hint));
}

void Decoder::read(const Node& node, const Target& target) {
  const Setting& row = target.row;
  switch (row.type) {
    case Type::kTexts:
      return read_texts(node, target);
    case Type::kPairs:
      return read_pairs(node, target);
    case Type::kPayload:
      return read_payload(node, target);
    case Type::kList:
      return read_list(node, target);
    case Type::kObject: {
      void* object =
          row.member.object == nullptr ? target.object : row.member.object(target.object);
      return decode(node, row.rows, object, target.path);
    }
    default:
      return read_scalar(node, target);
  }
}

void Decoder::read_scalar(const Node& node, const Target& target) {
  const Setting& row = target.row;
  if (row.type == Type::kText || row.type == Type::kPath) {
    auto text = checked_text(node, row, target.path);
    if (!text) return;
    if (row.type == Type::kPath) {
      const std::string folder = row.beside_file ? folders_.at(node.mark.file) : std::string();
      *text = resolve_path(*text, folder);
    }
    *slot_as<std::string>(row.member.slot(target.object)) = std::move(*text);
    return;
  }
  const auto text = text_of(node, row, target.path);
  if (!text) return;
  if (row.type == Type::kBoolean) {
    const auto value = parse_boolean(*text);
    if (!value) return problems_.error(node.mark, target.path, value.error());
    *slot_as<bool>(row.member.slot(target.object)) = *value;
  } else if (row.type == Type::kChoice) {
    read_choice(*text, node, target);
  } else {
    read_number(*text, node, target);
  }
}

void Decoder::read_number(const std::string& text, const Node& node, const Target& target) {
  const Setting& row = target.row;
  const auto number = parse_number(row.type, text);
  if (!number) return problems_.error(node.mark, target.path, number.error());
  if (*number < row.min || *number > row.max) {
    return problems_.error(node.mark, target.path, concat(text, " is out of range"),
                           concat("allowed is ", format_range(row)));
  }
  store_number(row.member.slot(target.object), *number);
}

void Decoder::read_choice(const std::string& text, const Node& node, const Target& target) {
  if (choose(text, node.mark, target.row, target.path)) {
    store_choice(target.row.member.slot(target.object), target.row, text);
  }
}

// Whether `text` is one of the row's choices; reports it otherwise.
bool Decoder::choose(const std::string& text, Mark mark, const Setting& row,
                     const std::string& path) {
  if (std::ranges::find(row.choices, text) != row.choices.end()) return true;
  std::vector<std::string_view> choices;
  std::ranges::remove_copy(row.choices, std::back_inserter(choices), std::string_view());
  if (std::ranges::find(row.later_choices, text) != row.later_choices.end()) {
    const bool error = row.severity == Problem::Severity::kError;
    std::string message = concat(quote(text), " is ", kNotYet);
    if (!error) message += concat("; ", choices.front(), " is used");
    problems_.add(row.severity, problems_.location(mark), path, std::move(message),
                  concat("this version has ", join(choices)));
    return false;
  }
  const std::string_view near = nearest(text, choices);
  problems_.error(mark, path, concat(quote(text), " is none of ", join(choices)),
                  near.empty() ? "" : concat("did you mean \"", near, "\"?"));
  return false;
}

void Decoder::read_texts(const Node& node, const Target& target) {
  const Setting& row = target.row;
  std::vector<std::string> texts;
  if (node.is_scalar() && row.one_or_many) {
    if (auto text = checked_text(node, row, target.path)) texts.push_back(std::move(*text));
  } else if (node.is_list()) {
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string path = item_path(target.path, i);
      places_.note(path, node.items[i].mark);
      if (auto text = checked_text(node.items[i], row, path)) texts.push_back(std::move(*text));
    }
  } else {
    return wrong_kind(node, row, target.path, "a list");
  }
  *slot_as<std::vector<std::string>>(row.member.slot(target.object)) = std::move(texts);
}

void Decoder::read_pairs(const Node& node, const Target& target) {
  const Setting& row = target.row;
  if (!node.is_map()) return wrong_kind(node, row, target.path, "a map");
  const Slot slot = row.member.slot(target.object);
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    std::string name = node.keys[i].text;
    const std::string path = child_path(target.path, name);
    places_.note(path, node.items[i].mark);
    const bool named = !complain_about(row.check_key(name), node.keys[i].mark, target.path);
    auto text = checked_text(node.items[i], row, path);
    if (!text || !named) continue;
    if (auto* map = slot_as<std::map<std::string, std::string>>(slot)) {
      map->insert_or_assign(std::move(name), std::move(*text));
    } else if (auto* matches = slot_as<std::vector<Match>>(slot)) {
      matches->push_back({.name = std::move(name), .value = std::move(*text)});
    }
  }
}

void Decoder::read_payload(const Node& node, const Target& target) {
  std::string payload;
  if (node.is_scalar()) {
    const auto text = text_of(node, target.row, target.path);
    if (!text) return;
    payload = *text;
  } else {
    if (has_variables(node)) places_.note_variables(target.path, {});
    auto json = to_json(node, Secrets::kShown);
    if (!json) {
      return problems_.error(json.error().mark, target.path, json.error().complaint);
    }
    payload = std::move(*json);
  }
  const Slot slot = target.row.member.slot(target.object);
  if (auto* optional = slot_as<std::optional<std::string>>(slot))
    *optional = std::move(payload);
  else if (auto* string = slot_as<std::string>(slot))
    *string = std::move(payload);
}

void Decoder::read_list(const Node& node, const Target& target) {
  const Setting& row = target.row;
  if (!node.is_list()) return wrong_kind(node, row, target.path, "a list");
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Node& item = node.items[i];
    const std::string path = item_path(target.path, i);
    places_.note(path, item.mark);
    void* object = row.member.append(target.object);
    row.member.locate(object, problems_.location(item.mark));
    if (item.is_scalar() && !row.shorthand.empty()) {
      const auto full = std::ranges::find(row.rows, row.shorthand, &Setting::key);
      read_scalar(item, {.row = *full, .object = object, .path = path});
    } else {
      decode(item, row.rows, object, path);
    }
  }
}

void Decoder::read_later(const Node& node, Mark key, const Target& target) {
  const Setting& row = target.row;
  const auto is = [&](const Node* value, std::string_view word, bool boolean) {
    if (value == nullptr || !value->is_scalar()) return false;
    const std::string text = expand_variables(value->text).value_or("");
    if (!boolean) return text == word;
    const auto parsed = parse_boolean(text);
    return parsed.has_value() && *parsed == (word == "true");
  };
  const Node* enabled = node.find("enabled");
  if (is(enabled, "false", true)) return;
  if (!row.harmless.empty() && is(&node, row.harmless, row.harmless == "false")) return;
  auto severity = row.severity;
  // An `enabled` that cannot be read may mean true: stay with the error.
  if (row.off_by_default && node.is_map() && enabled == nullptr) {
    severity = Problem::Severity::kWarning;
  }
  const std::string subject =
      row.later.empty() ? std::string(kNotYet) : concat(row.later, " is ", kNotYet);
  if (severity == Problem::Severity::kWarning) {
    problems_.warning(key, target.path, concat(subject, "; ignored"));
  } else {
    problems_.error(key, target.path, subject, "remove it; going on without it would be unsafe");
  }
}

std::optional<std::string> Decoder::text_of(const Node& node, const Setting& row,
                                            const std::string& path) {
  if (node.is_null()) return std::string();
  if (!node.is_scalar()) {
    wrong_kind(node, row, path, "a single value");
    return std::nullopt;
  }
  auto text = expand_variables(node.text);
  if (text) {
    if (has_variables(node)) places_.note_variables(path, *text);
    return std::move(*text);
  }
  problems_.error(node.mark, path, text.error());
  return std::nullopt;
}

std::optional<std::string> Decoder::checked_text(const Node& node, const Setting& row,
                                                 const std::string& path) {
  auto text = text_of(node, row, path);
  if (!text) return std::nullopt;
  if (!row.choices.empty()) {
    return choose(*text, node.mark, row, path) ? std::move(text) : std::nullopt;
  }
  if (complain_about(row.check(*text), node.mark, path)) return std::nullopt;
  return text;
}

bool Decoder::complain_about(std::optional<Complaint> complaint, Mark mark,
                             const std::string& path) {
  if (!complaint) return false;
  problems_.error(mark, path, std::move(*complaint));
  return true;
}

void Decoder::wrong_kind(const Node& node, const Setting& row, const std::string& path,
                         std::string_view expected) {
  problems_.error(node.mark, path, concat("expected ", expected, ", found ", describe(node)),
                  example_hint(row));
}

}  // namespace heddle::config
