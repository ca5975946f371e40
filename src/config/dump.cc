#include "config/dump.h"

#include <algorithm>
#include <type_traits>

#include "base/log.h"
#include "config/json.h"
#include "config/scalars.h"

namespace heddle::config {
namespace {

// Plain where that is unmistakable, else quoted.
std::string format_text(const std::string& text) {
  const auto safe = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/' || c == '-' ||
           c == '.';
  };
  const bool word = !text.empty() && text.front() != '-' && text.front() != '.' &&
                    text.size() <= 200 && std::ranges::all_of(text, safe) &&
                    !parse_boolean(text).has_value() && text != "null" && text != "Null" &&
                    text != "NULL";
  if (word) return text;
  std::string out;
  append_json_string(out, text);
  return out;
}

// A value, as opposed to a key: ${ in it would be expanded when the dump is read back.
std::string format_value_text(const std::string& text) {
  return format_text(escape_variables(text));
}

std::string format_pair(const Setting& row, const std::string& name, const std::string& value) {
  const bool secret = row.secret || sounds_secret(name);
  return concat(format_text(name), ": ", secret ? "\"***\"" : format_value_text(value));
}

struct Formatter {
  const Setting& row;

  std::optional<std::string> operator()(std::monostate /*none*/) const { return std::nullopt; }
  std::optional<std::string> operator()(const bool* value) const {
    return *value ? "true" : "false";
  }
  template <typename Integer>
    requires std::is_integral_v<Integer>
  std::optional<std::string> operator()(const Integer* value) const {
    if (row.type == Type::kSize) return format_size(static_cast<std::int64_t>(*value));
    return std::to_string(*value);
  }
  std::optional<std::string> operator()(const Milliseconds* value) const {
    return format_duration(value->count());
  }
  std::optional<std::string> operator()(const std::string* value) const {
    if (row.secret && !value->empty()) return "\"***\"";
    if (row.type == Type::kPayload) return redact_payload(*value);
    return format_value_text(*value);
  }
  std::optional<std::string> operator()(const LogLevel* value) const {
    return std::string(to_string(*value));
  }
  std::optional<std::string> operator()(const OnFailure* value) const {
    return std::string(row.choices[static_cast<std::size_t>(*value)]);
  }
  std::optional<std::string> operator()(const std::optional<int>* value) const {
    if (!value->has_value()) return std::nullopt;
    return std::to_string(**value);
  }
  std::optional<std::string> operator()(const std::optional<std::string>* value) const {
    if (!value->has_value()) return std::nullopt;
    return (*this)(&**value);
  }
  std::optional<std::string> operator()(const std::vector<std::string>* value) const {
    std::string out = "[";
    for (const std::string& text : *value) {
      if (out.size() > 1) out += ", ";
      out += format_value_text(text);
    }
    return out + "]";
  }
  std::optional<std::string> operator()(const std::vector<Match>* value) const {
    std::string out = "{";
    for (const Match& match : *value) {
      if (out.size() > 1) out += ", ";
      out += format_pair(row, match.name, match.value);
    }
    return out + "}";
  }
  std::optional<std::string> operator()(const std::map<std::string, std::string>* value) const {
    std::string out = "{";
    for (const auto& [name, text] : *value) {
      if (out.size() > 1) out += ", ";
      out += format_pair(row, name, text);
    }
    return out + "}";
  }
};

class Dumper {
 public:
  void rows(std::span<const Setting> rows, void* object, std::size_t indent) {
    for (const Setting& row : rows) {
      if (row.type == Type::kObject) {
        begin(row, indent);
        out_ += '\n';
        void* inner = row.member.object == nullptr ? object : row.member.object(object);
        this->rows(row.rows, inner, indent + 2);
      } else if (row.type == Type::kList) {
        list(row, object, indent);
      } else if (const auto value = format_value(row, object)) {
        begin(row, indent);
        out_ += concat(" ", *value, "\n");
      }
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void begin(const Setting& row, std::size_t indent) {
    if (dash_) {
      out_ += concat(std::string(indent - 2, ' '), "- ");
      dash_ = false;
    } else {
      out_.append(indent, ' ');
    }
    out_ += concat(row.key, ":");
  }

  void list(const Setting& row, void* object, std::size_t indent) {
    begin(row, indent);
    const std::size_t size = row.member.size(object);
    out_ += size == 0 ? " []\n" : "\n";
    for (std::size_t i = 0; i < size; ++i) {
      dash_ = true;
      rows(row.rows, row.member.at(object, i), indent + 4);
    }
  }

  std::string out_;
  bool dash_ = false;  // the next key begins an item of a list
};

}  // namespace

std::optional<std::string> format_value(const Setting& row, void* object) {
  if (row.member.slot == nullptr) return std::nullopt;
  return std::visit(Formatter{row}, row.member.slot(object));
}

std::string effective_yaml(const Config& config) {
  // Rows reach members through a pointer that may write; a copy keeps the promise of const.
  Config copy = config;
  Dumper dumper;
  dumper.rows(settings(), &copy, 0);
  return dumper.take();
}

}  // namespace heddle::config
