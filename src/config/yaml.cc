#include "config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include "base/utf8.h"

namespace heddle::config {
namespace {

struct Refused {  // thrown through the library to leave a document that cannot be read on
  Mark mark;
  std::string message;
  std::string hint;
};

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

// The number of values in a tree and the bytes of their text.
void measure(const Node& node, std::size_t& values, std::size_t& bytes) {
  ++values;
  bytes += node.text.size();
  for (const Node::Key& key : node.keys) bytes += key.text.size();
  for (const Node& item : node.items) measure(item, values, bytes);
}

std::size_t depth_of(const Node& node) {
  std::size_t deepest = 0;
  for (const Node& item : node.items) deepest = std::max(deepest, depth_of(item));
  return node.is_list() || node.is_map() ? deepest + 1 : 0;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::uint32_t file, Problems& problems) : file_(file), problems_(problems) {}

  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.mark = at(mark);
    if (awaits_key()) node.text = "null";
    charge(node);
    add(std::move(node), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node;
    node.kind = Node::Kind::kScalar;
    node.mark = at(mark);
    node.quoted = scalar_is_string(tag, node.mark);
    node.text = value;
    charge(node);
    add(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      throw Refused{at(mark), "an alias stands inside the value that it names",
                    "write the value out instead of the *alias"};
    }
    if (stack_.size() + depth_of(found->second) > kMaxDepth) refuse_depth(at(mark));
    charge(found->second);
    Node copy = found->second;
    copy.mark = at(mark);
    add(std::move(copy), 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::kList, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::kMap, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override {
    merge_keys(stack_.back());
    close();
  }

 private:
  enum class Use : std::uint8_t { kKeep, kDrop, kMerge };  // of the value that follows a key
  struct Frame {
    Node node;
    YAML::anchor_t anchor = 0;
    std::map<std::string, int, std::less<>> seen;  // the keys of a map and their lines
    bool has_key = false;                          // `key` waits for its value
    Node::Key key;
    Use use = Use::kKeep;
    std::vector<Node> merged;  // the values of <<
  };

  Mark at(const YAML::Mark& mark) const {
    return {.file = file_, .line = mark.line + 1, .column = mark.column + 1};
  }

  bool awaits_key() const {
    return !stack_.empty() && stack_.back().node.is_map() && !stack_.back().has_key;
  }

  static bool scalar_is_string(std::string_view tag, Mark mark) {
    if (tag.empty() || tag == "?") return false;
    if (tag == "!") return true;
    if (tag.starts_with(kTagPrefix)) {
      const std::string_view type = tag.substr(kTagPrefix.size());
      if (type == "str") return true;
      if (type == "int" || type == "float" || type == "bool" || type == "null") return false;
    }
    throw Refused{mark, concat("the tag ", quote(tag), " is not supported"), "remove the tag"};
  }

  [[noreturn]] static void refuse_key(Mark mark) {
    throw Refused{mark, "a key must be plain text, not a list or a map",
                  "quote a key that begins with [ or {, and look for a bracket that is not closed"};
  }
  [[noreturn]] static void refuse_depth(Mark mark) {
    throw Refused{mark, concat("nested deeper than ", std::to_string(kMaxDepth), " levels"), ""};
  }

  void open(Node::Kind kind, const YAML::Mark& mark, std::string_view tag, YAML::anchor_t anchor) {
    if (awaits_key()) refuse_key(at(mark));
    const std::string_view own = kind == Node::Kind::kList ? "seq" : "map";
    if (!tag.empty() && tag != "?" && tag != "!" && tag != concat(kTagPrefix, own)) {
      throw Refused{at(mark), concat("the tag ", quote(tag), " is not supported"),
                    "remove the tag"};
    }
    if (stack_.size() >= kMaxDepth) refuse_depth(at(mark));
    Frame frame;
    frame.node.kind = kind;
    frame.node.mark = at(mark);
    frame.anchor = anchor;
    charge(frame.node);
    stack_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    add(std::move(frame.node), frame.anchor);
  }

  void charge(const Node& node) {
    measure(node, values_, bytes_);
    if (values_ > kMaxValues || bytes_ > kMaxTextBytes) {
      throw Refused{node.mark,
                    concat("more than ", std::to_string(kMaxValues), " values or ",
                           std::to_string(kMaxTextBytes >> 20U), " MiB of text"),
                    "aliases count each time they are used"};
    }
  }

  // A finished node goes into the list or map above it.
  void add(Node node, YAML::anchor_t anchor) {
    if (anchor != 0) {
      charge(node);
      anchors_[anchor] = node;
    }
    if (stack_.empty()) {
      root_ = std::move(node);
    } else if (stack_.back().node.is_list()) {
      stack_.back().node.items.push_back(std::move(node));
    } else if (awaits_key()) {
      add_key(stack_.back(), std::move(node));
    } else {
      add_value(stack_.back(), std::move(node));
    }
  }

  void add_key(Frame& frame, Node node) {
    if (node.is_list() || node.is_map()) refuse_key(node.mark);
    frame.has_key = true;
    frame.use = Use::kKeep;
    if (node.is_scalar() && !node.quoted && node.text == "<<") {
      frame.use = Use::kMerge;
    } else if (const auto [at, fresh] = frame.seen.emplace(node.text, node.mark.line); !fresh) {
      frame.use = Use::kDrop;
      report_duplicate(node, at->second);
    }
    frame.key = {.text = std::move(node.text), .mark = node.mark};
  }

  void add_value(Frame& frame, Node node) {
    frame.has_key = false;
    if (frame.use == Use::kMerge) {
      add_merged(frame, std::move(node));
    } else if (frame.use == Use::kKeep) {
      frame.node.keys.push_back(std::move(frame.key));
      frame.node.items.push_back(std::move(node));
    }
  }

  void report_duplicate(const Node& key, int first_line) {
    problems_.error(key.mark, "",
                    concat("the key ", quote(key.text), " stands here twice; first on line ",
                           std::to_string(first_line)),
                    "remove one of them");
  }

  void add_merged(Frame& frame, Node node) {
    if (node.is_map()) {
      frame.merged.push_back(std::move(node));
      return;
    }
    const bool maps = node.is_list() && std::ranges::all_of(node.items, &Node::is_map);
    if (!maps) {
      problems_.error(node.mark, "",
                      concat("<< merges a map or a list of maps, found ", describe(node)),
                      "for example <<: *defaults");
      return;
    }
    for (Node& item : node.items) frame.merged.push_back(std::move(item));
  }

  // What stands in the map wins over what is merged into it, wherever << stands.
  static void merge_keys(Frame& frame) {
    for (Node& merged : frame.merged) {
      for (std::size_t i = 0; i < merged.keys.size(); ++i) {
        if (!frame.seen.emplace(merged.keys[i].text, 0).second) continue;
        frame.node.keys.push_back(std::move(merged.keys[i]));
        frame.node.items.push_back(std::move(merged.items[i]));
      }
    }
  }

  std::uint32_t file_;
  Problems& problems_;
  Node root_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Node> anchors_;
  std::size_t values_ = 0;
  std::size_t bytes_ = 0;
};

// The library guesses UTF-16 from zero bytes and reads on; better to say what is wrong.
bool check_text(std::string_view text, std::uint32_t file, Problems& problems) {
  int line = 1;
  std::size_t line_start = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
    const std::size_t length = control ? 0 : utf8_length(text.substr(i));
    if (length == 0) {
      static constexpr std::string_view kHex = "0123456789abcdef";
      problems.error(
          {.file = file, .line = line, .column = static_cast<int>(i - line_start) + 1}, "",
          concat("not a text file: byte 0x", kHex.substr(c >> 4U, 1), kHex.substr(c & 0xFU, 1)),
          "a configuration is YAML in UTF-8");
      return false;
    }
    i += length;
    if (c == '\n') {
      ++line;
      line_start = i;
    }
  }
  return true;
}

// A hint for the slips that the library explains poorly.
std::string syntax_hint(std::string_view text, int line) {
  for (int current = 1; current < line; ++current) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  const std::string_view indent = text.substr(0, text.find_first_not_of(" \t"));
  if (indent.contains('\t')) return "indent with spaces; YAML does not allow tabs";
  if (text.substr(0, text.find('\n')).contains("${")) {
    return "inside of { } and [ ] a ${VAR} must be quoted: \"${VAR}\"";
  }
  return "look at the indentation, quotes and brackets here and on the line before";
}

}  // namespace

std::optional<Node> parse_yaml(std::string_view text, std::uint32_t file, Problems& problems) {
  if (text.size() > kMaxFileBytes) {
    problems.error({.file = file}, "",
                   concat("larger than ", std::to_string(kMaxFileBytes >> 20U), " MiB"),
                   "split it into several files and give their folder");
    return std::nullopt;
  }
  if (!check_text(text, file, problems)) return std::nullopt;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(file, problems);
    parser.HandleNextDocument(builder);
    Node root = builder.take();
    TreeBuilder rest(file, problems);
    if (parser.HandleNextDocument(rest)) {
      problems.error(rest.take().mark, "", "a second document begins in this file",
                     "keep one document per file: remove the ---");
      return std::nullopt;
    }
    return root;
  } catch (const Refused& refused) {
    problems.error(refused.mark, "", refused.message, refused.hint);
  } catch (const YAML::Exception& exception) {
    const int line = exception.mark.line + 1;
    problems.error({.file = file, .line = line, .column = exception.mark.column + 1}, "",
                   concat("not valid YAML: ", exception.msg), syntax_hint(text, line));
  } catch (const std::exception& exception) {
    problems.error({.file = file}, "", concat("not readable as YAML: ", exception.what()));
  }
  return std::nullopt;
}

}  // namespace heddle::config
