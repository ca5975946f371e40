// The tree that a configuration is read from, whatever its syntax: maps with unique keys, lists,
// scalars, each with its place in a file. Made by parse_yaml() (yaml.h), merged by merge()
// (sources.h), decoded by Decoder (decode.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::config {

// A place in one of the files that are read; Problems turns it into a Location.
struct Mark {
  std::uint32_t file = 0;
  int line = 0;
  int column = 0;
};

struct Node {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap };
  struct Key {
    std::string text;
    Mark mark;
  };

  Kind kind = Kind::kNull;
  bool quoted =
      false;  // a scalar that is a string whatever it looks like: quoted, a block, or tagged !!str
  Mark mark;
  std::string text;         // of a scalar, before ${VAR} is expanded
  std::vector<Key> keys;    // of a map; keys[i] belongs to items[i]
  std::vector<Node> items;  // of a list or map

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }

  // The value under `key`; null when this is no map or lacks the key.
  const Node* find(std::string_view key) const;
};

// "a list", "a map", ... for messages.
std::string_view describe(const Node& node);

}  // namespace heddle::config
