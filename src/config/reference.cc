// docs/configuration.md, generated.
#include <string>

#include "config/decode.h"
#include "config/dump.h"
#include "config/reader.h"
#include "config/scalars.h"
#include "config/settings.h"

namespace heddle::config {
namespace {

constexpr std::string_view kHead = R"(# Configuration reference

Generated from the table of settings (`src/config/settings.cc`); do not edit. `heddle validate -c FILE` checks a file
against the same table, and editors that know JSON Schema can use [configuration.schema.json](configuration.schema.json):
put `# yaml-language-server: $schema=configuration.schema.json` on the first line of the file.

- The file is YAML, and JSON is YAML. `-c FOLDER` merges its `*.yaml` and `*.yml` files in the order of their names: maps
  merge, lists are appended, and a value given twice is an error.
- `${VAR}` and `${VAR:-default}` in a value are replaced from the environment; `$${` stands for `${`. Inside of
  `{ }` and `[ ]` YAML wants them quoted; a quoted value is a string in a plugin's `config`.
- Durations: `100ms`, `5s`, `1.5s`, `1m30s`, `1h`, `500us`, rounded up to whole milliseconds. Sizes: `64KiB`, `16MB`,
  `1GiB` or a number of bytes; KB, MB and GB are 2^10, 2^20 and 2^30, as in Loom.
- Unknown keys are errors (`--lenient`: warnings). Top-level keys that begin with `x-` are free for anchors; `<<` merges
  them into other maps.
- *Restart*: the setting takes effect at the next start; all others change with a reload.
- *Secret*: the value is `***` in `GET /config`. In a plugin's `config`, values are hidden in the same way under the key
  `key`, keys that end in `_key`, `-key` or `.key`, and keys that contain password, passwd, passphrase, secret, token,
  credential, apikey, privatekey, authorization or cookie; so are values of headers with such names. A `config` that is
  one text is hidden whole when such a word is in it.
)";

std::string type_name(const Setting& row) {
  switch (row.type) {
    case Type::kBoolean:
      return "boolean";
    case Type::kInteger:
      return "number";
    case Type::kDuration:
      return "duration";
    case Type::kSize:
      return "size";
    case Type::kPath:
      return "path";
    case Type::kTexts:
      return row.one_or_many ? "string or list of strings" : "list of strings";
    case Type::kPairs:
      return "map of strings";
    case Type::kPayload:
      return "map, list or string";
    case Type::kObject:
      return "map";
    case Type::kList:
      return "list of maps";
    default:
      return "string";
  }
}

std::string number_text(const Setting& row, std::int64_t number) {
  if (row.type == Type::kDuration) return format_duration(number);
  return row.type == Type::kSize ? format_size(number) : std::to_string(number);
}

std::string allowed(const Setting& row) {
  std::string out;
  for (const std::string_view choice : row.choices) {
    if (choice.empty()) continue;
    out += concat(out.empty() ? "" : ", ", "`", choice, "`");
  }
  if (!out.empty()) return out;
  if (row.min == std::numeric_limits<std::int64_t>::min()) return {};
  if (row.max == std::numeric_limits<std::int64_t>::max()) {
    return concat("at least ", number_text(row, row.min));
  }
  return concat(number_text(row, row.min), " to ", number_text(row, row.max));
}

std::string default_text(const Setting& row, void* sample) {
  if (row.required) return "required";
  if (!row.shown_default.empty()) return std::string(row.shown_default);
  if (row.type == Type::kObject) return {};
  if (row.type == Type::kList) return "`[]`";
  const auto value = format_value(row, sample);
  return value ? concat("`", *value, "`") : std::string("none");
}

std::string meaning(const Setting& row) {
  std::string out(row.help);
  if (!row.example.empty()) out += concat(" For example `", row.example, "`.");
  if (row.needs_restart) out += " *Restart.*";
  if (row.secret) out += " *Secret.*";
  return out;
}

class Writer {
 public:
  void section(const std::string& title, std::string_view help, std::span<const Setting> rows,
               void* sample) {
    out_ += concat("\n## ", title, "\n");
    if (!help.empty()) out_ += concat("\n", help, "\n");
    out_ += "\n| setting | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
    for (const Setting& row : rows) {
      if (row.type == Type::kLater) continue;
      out_ += concat("| `", row.key, "` | ", type_name(row), " | ", default_text(row, sample),
                     " | ", allowed(row), " | ", meaning(row), " |\n");
    }
  }

  // The sections of nested maps and lists, after the one that has them.
  void nested(const std::string& path, std::span<const Setting> rows, void* sample) {
    for (const Setting& row : rows) {
      const std::string own = child_path(path, row.key);
      if (row.type == Type::kObject) {
        void* inner = row.member.object == nullptr ? sample : row.member.object(sample);
        section(concat("`", own, "`"), row.help, row.rows, inner);
        nested(own, row.rows, inner);
      } else if (row.type == Type::kList) {
        const auto item = row.member.sample();
        section(concat("`", own, "[]`"), row.help, row.rows, item.get());
        nested(own + "[]", row.rows, item.get());
      }
    }
  }

  void later(const std::string& path, std::span<const Setting> rows) {
    for (const Setting& row : rows) {
      const std::string own =
          concat(child_path(path, row.key), row.type == Type::kList ? "[]" : "");
      if (row.type == Type::kLater) {
        const bool error = row.severity == Problem::Severity::kError;
        out_ += concat("| `", own, "` | ", row.help, " | ", error ? "error" : "warning", " |\n");
      }
      for (const std::string_view choice : row.later_choices) {
        const bool error = row.severity == Problem::Severity::kError;
        out_ += concat("| `", own, ": ", choice, "` | ", row.help, " | ",
                       error ? "error" : "warning", " |\n");
      }
      later(own, row.rows);
    }
  }

  void text(std::string_view text) { out_ += text; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace

std::string markdown_reference() {
  Config sample;
  Writer writer;
  writer.text(kHead);
  writer.section("Top level", "", settings(), &sample);
  writer.nested("", settings(), &sample);
  writer.text(
      "\n## Not in this version\n\nThese keys are known from Loom or planned. They have no effect: "
      "where going on without\nthem would be unsafe, the file is refused, else a warning says so. "
      "A "
      "map with `enabled: false` is accepted silently.\n\n| key | meaning | when given "
      "|\n|---|---|---|\n");
  writer.later("", settings());
  return writer.take();
}

}  // namespace heddle::config
