// docs/configuration.schema.json, generated: JSON Schema draft 7, which the YAML servers of editors
// know best.
#include <string>

#include "base/log.h"
#include "config/reader.h"
#include "config/settings.h"

namespace heddle::config {
namespace {

// A value with ${VAR} in it can be anything.
constexpr std::string_view kVariable = R"({"type": "string", "pattern": "\\$\\{"})";

class SchemaWriter {
 public:
  void root() {
    out_ += "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n";
    out_ += "  \"title\": \"Heddle configuration\",\n";
    object(settings(), 2, true);
    out_ += "\n}\n";
  }
  std::string take() { return std::move(out_); }

 private:
  static std::string quoted(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
  }

  void line(std::size_t indent, std::string_view text) {
    out_.append(indent, ' ');
    out_ += text;
  }

  // The members of a schema for a map, without its braces.
  void object(std::span<const Setting> rows, std::size_t indent, bool root) {
    line(indent, R"("type": ["object", "null"],)"
                 "\n");
    line(indent, "\"additionalProperties\": false,\n");
    if (root) line(indent, "\"patternProperties\": {\"^x-\": true},\n");
    std::string required;
    for (const Setting& row : rows) {
      if (row.required) required += concat(required.empty() ? "" : ", ", quoted(row.key));
    }
    if (!required.empty()) line(indent, concat("\"required\": [", required, "],\n"));
    line(indent, "\"properties\": {\n");
    for (std::size_t i = 0; i < rows.size(); ++i) {
      property(rows[i], indent + 2);
      out_ += i + 1 < rows.size() ? ",\n" : "\n";
    }
    line(indent, "}");
  }

  void property(const Setting& row, std::size_t indent) {
    line(indent, concat(quoted(row.key), ": {\n"));
    const std::string_view later =
        row.type == Type::kLater ? " Not in this version of Heddle." : "";
    line(indent + 2, concat("\"description\": ", quoted(concat(row.help, later))));
    if (row.type != Type::kPayload && row.type != Type::kLater) {
      out_ += ",\n";
      body(row, indent + 2);
    }
    out_ += "\n";
    line(indent, "}");
  }

  void body(const Setting& row, std::size_t indent) {
    switch (row.type) {
      case Type::kObject:
        return object(row.rows, indent, false);
      case Type::kList:
        return list(row, indent);
      case Type::kPairs:
        return line(indent,
                    R"("type": ["object", "null"], "additionalProperties": )" +
                        std::string(R"({"type": ["string", "number", "boolean", "null"]})"));
      case Type::kTexts:
        return texts(row, indent);
      default:
        return line(indent, scalar(row));
    }
  }

  void list(const Setting& row, std::size_t indent) {
    line(indent, R"("type": ["array", "null"],)"
                 "\n");
    line(indent, "\"items\": {\n");
    if (row.shorthand.empty()) {
      object(row.rows, indent + 2, false);
    } else {
      line(indent + 2, "\"anyOf\": [{\"type\": \"string\"}, {\n");
      object(row.rows, indent + 4, false);
      out_ += "\n";
      line(indent + 2, "}]");
    }
    out_ += "\n";
    line(indent, "}");
  }

  void texts(const Setting& row, std::size_t indent) {
    const std::string item = row.choices.empty()
                                 ? std::string(R"({"type": ["string", "number", "boolean"]})")
                                 : concat("{", choices(row), "}");
    const std::string list = concat(R"("type": ["array", "null"], "items": )", item);
    line(indent, row.one_or_many ? concat("\"anyOf\": [", item, ", {", list, "}]") : list);
  }

  static std::string choices(const Setting& row) {
    std::string out;
    for (const std::string_view choice : row.choices) {
      out += concat(out.empty() ? "" : ", ", quoted(choice));
    }
    return concat(R"("anyOf": [{"enum": [)", out, "]}, ", kVariable, "]");
  }

  static std::string integer(const Setting& row) {
    std::string out = R"({"type": "integer")";
    if (row.min != std::numeric_limits<std::int64_t>::min()) {
      out += concat(", \"minimum\": ", std::to_string(row.min));
    }
    if (row.max != std::numeric_limits<std::int64_t>::max()) {
      out += concat(", \"maximum\": ", std::to_string(row.max));
    }
    return out + "}";
  }

  static std::string scalar(const Setting& row) {
    switch (row.type) {
      case Type::kBoolean:
        return concat(R"("anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", "on", "off"]}, )",
                      kVariable, R"(, {"type": "null"}])");
      case Type::kInteger:
        return concat("\"anyOf\": [", integer(row), ", ", kVariable, R"(, {"type": "null"}])");
      case Type::kDuration:
        return concat(
            R"("anyOf": [{"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|us|µs|μs|ns|[smhd]))+$"}, )",
            R"({"enum": [0]}, )", kVariable, R"(, {"type": "null"}])");
      case Type::kSize:
        return concat(
            R"("anyOf": [{"type": "string", "pattern": "^[0-9]+ ?([KkMmGg]([Ii]?[Bb])?|[Bb])?$"}, )",
            integer(row), ", ", kVariable, R"(, {"type": "null"}])");
      case Type::kChoice:
        return choices(row);
      default:
        return R"("type": ["string", "number", "boolean", "null"])";
    }
  }

  std::string out_;
};

}  // namespace

std::string json_schema() {
  SchemaWriter writer;
  writer.root();
  return writer.take();
}

}  // namespace heddle::config
