// Fills the objects of config.h from a tree, row by row of the table of settings.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/node.h"
#include "config/problems.h"
#include "config/settings.h"

namespace heddle::config {

// Where each value of the configuration stands, by its path ("routes[2].plugins[0]").
class Places {
 public:
  void note(std::string path, Mark mark) { marks_.insert_or_assign(std::move(path), mark); }
  bool has(std::string_view path) const { return marks_.contains(path); }
  // Of the value, or of the nearest thing around it that is in the file.
  Mark of(std::string_view path) const;

  // The value at `path` has variables; `text` is what they made of it, where that is one text.
  void note_variables(std::string path, std::string text) {
    variables_.insert_or_assign(std::move(path), std::move(text));
  }
  const std::map<std::string, std::string>& variables() const { return variables_; }

 private:
  std::map<std::string, Mark, std::less<>> marks_;
  std::map<std::string, std::string> variables_;  // text by path
};

class Decoder {
 public:
  // `folders[i]` is the folder of file i, for paths that are relative to their file.
  Decoder(Problems& problems, std::vector<std::string> folders, bool lenient)
      : problems_(problems), folders_(std::move(folders)), lenient_(lenient) {}

  // Reads `node` into `object`, which `rows` describe. What is wrong is reported and left at its
  // default.
  void decode(const Node& node, std::span<const Setting> rows, void* object,
              const std::string& path);

  const Places& places() const { return places_; }

 private:
  struct Target {  // the setting that is being read
    const Setting& row;
    void* object;
    const std::string& path;
  };

  void check_keys(const Node& node, std::span<const Setting> rows, const std::string& path);
  void unknown_key(const Node::Key& key, std::span<const Setting> rows, const std::string& path);
  void read(const Node& node, const Target& target);
  void read_scalar(const Node& node, const Target& target);
  void read_number(const std::string& text, const Node& node, const Target& target);
  void read_choice(const std::string& text, const Node& node, const Target& target);
  void read_texts(const Node& node, const Target& target);
  void read_pairs(const Node& node, const Target& target);
  void read_payload(const Node& node, const Target& target);
  void read_list(const Node& node, const Target& target);
  void read_later(const Node& node, Mark key, const Target& target);

  // The text of a scalar with its variables expanded; nullopt after a problem was reported.
  std::optional<std::string> text_of(const Node& node, const Setting& row, const std::string& path);
  // The same, checked by the row (its choices or its check).
  std::optional<std::string> checked_text(const Node& node, const Setting& row,
                                          const std::string& path);
  bool choose(const std::string& text, Mark mark, const Setting& row, const std::string& path);
  bool complain_about(std::optional<Complaint> complaint, Mark mark, const std::string& path);
  void wrong_kind(const Node& node, const Setting& row, const std::string& path,
                  std::string_view expected);

  Problems& problems_;
  std::vector<std::string> folders_;
  bool lenient_;
  Places places_;
};

// "plugins[2]" + "timeout" -> "plugins[2].timeout"
std::string child_path(std::string_view path, std::string_view key);
std::string item_path(std::string_view path, std::size_t index);

// A leading ~ replaced by HOME.
std::string expand_home(std::string_view path);

}  // namespace heddle::config
