#include "config/ourchat.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <utility>

#include "config/yaml.h"

namespace heddle::config {
namespace {

Mark mark_of(const toml::source_region& source, std::uint32_t file) {
  return {.file = file,
          .line = static_cast<int>(source.begin.line),
          .column = static_cast<int>(source.begin.column)};
}

Node scalar(std::string text, bool quoted, Mark mark) {
  Node out;
  out.kind = Node::Kind::kScalar;
  out.quoted = quoted;
  out.mark = mark;
  out.text = std::move(text);
  return out;
}

void add(Node& map, std::string key, Mark mark, Node value) {
  map.kind = Node::Kind::kMap;
  map.keys.push_back({.text = std::move(key), .mark = mark});
  map.items.push_back(std::move(value));
}

// toml++ limits how deep values nest.
Node tree_of(const toml::node& value, std::uint32_t file) {
  const Mark mark = mark_of(value.source(), file);
  if (const auto* text = value.as_string()) return scalar(text->get(), true, mark);
  if (const auto* flag = value.as_boolean()) {
    return scalar(flag->get() ? "true" : "false", false, mark);
  }
  if (const auto* number = value.as_integer()) {
    return scalar(std::to_string(number->get()), false, mark);
  }
  if (const auto* number = value.as_floating_point()) {
    return scalar(std::to_string(number->get()), false, mark);
  }
  Node out;
  out.mark = mark;
  if (const auto* table = value.as_table()) {
    out.kind = Node::Kind::kMap;
    for (const auto& [key, item] : *table) {
      add(out, std::string(key.str()), mark_of(key.source(), file), tree_of(item, file));
    }
  } else if (const auto* array = value.as_array()) {
    out.kind = Node::Kind::kList;
    for (const toml::node& item : *array) out.items.push_back(tree_of(item, file));
  } else {
    return scalar("a date", true, mark);  // where none is expected, which the reader says
  }
  return out;
}

std::optional<Node> parse_toml(std::string_view text, const std::string& name, std::uint32_t file,
                               Problems& problems) {
  const toml::parse_result parsed = toml::parse(text, std::string_view(name));
  if (!parsed) {
    problems.error(mark_of(parsed.error().source(), file), "",
                   concat("is no TOML: ", parsed.error().description()));
    return std::nullopt;
  }
  return tree_of(parsed.table(), file);
}

}  // namespace

std::optional<Node> parse_ourchat(std::string_view text, const std::string& name,
                                  std::uint32_t file, Problems& problems) {
  const bool yaml = name.ends_with(".yaml") || name.ends_with(".yml");
  auto tree = yaml ? parse_yaml(text, file, problems) : parse_toml(text, name, file, problems);
  if (!tree) return std::nullopt;
  const Node* found = tree->find("plugin");
  Node hooks = found == nullptr ? Node{} : *found;
  const Mark mark = found == nullptr ? Mark{.file = file} : hooks.mark;
  if (hooks.is_null()) {
    hooks.kind = Node::Kind::kMap;
    hooks.mark = mark;
  }
  if (hooks.is_map()) {
    if (hooks.find("directory") == nullptr) {
      add(hooks, "directory", mark, scalar("plugins", true, mark));
    }
    if (hooks.find("enabled") == nullptr) add(hooks, "enabled", mark, scalar("true", false, mark));
  }
  Node messaging;
  messaging.mark = mark;
  add(messaging, "hooks", mark, std::move(hooks));
  Node root;
  root.mark = mark;
  add(root, "messaging", mark, std::move(messaging));
  return root;
}

}  // namespace heddle::config
