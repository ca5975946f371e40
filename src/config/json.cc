#include "config/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/log.h"
#include "config/yaml.h"

namespace heddle::config {
namespace {

constexpr std::string_view kDigits = "0123456789";

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

std::string_view take_digits(std::string_view& text) {
  const std::size_t length = std::min(text.find_first_not_of(kDigits), text.size());
  const std::string_view digits = text.substr(0, length);
  text.remove_prefix(length);
  return digits;
}

std::string_view without_leading_zeros(std::string_view digits) {
  const std::size_t first = digits.find_first_not_of('0');
  return first == std::string_view::npos ? digits.substr(0, 1) : digits.substr(first);
}

// 0x1F and 0o17 as JSON, which has decimal numbers only; nullopt when it is neither or has more
// than 64 bits.
std::optional<std::string> radix_number(std::string_view text) {
  const int base = text.starts_with("0x") ? 16 : text.starts_with("0o") ? 8 : 0;
  if (base == 0 || text.size() == 2) return std::nullopt;
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data() + 2, end, value, base);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return std::to_string(value);
}

// A number of the core schema in JSON's form: .5 -> 0.5, +1 -> 1, 007 -> 7.
std::optional<std::string> number(std::string_view text) {
  if (auto radix = radix_number(text)) return radix;
  std::string out;
  if (text.starts_with('-')) out = "-";
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const std::string_view whole = take_digits(text);
  std::string_view fraction;
  const bool point = text.starts_with('.');
  if (point) {
    text.remove_prefix(1);
    fraction = take_digits(text);
  }
  if (whole.empty() && fraction.empty()) return std::nullopt;
  out += whole.empty() ? "0" : without_leading_zeros(whole);
  if (point) out += concat(".", fraction.empty() ? "0" : fraction);
  if (text.starts_with('e') || text.starts_with('E')) {
    out += text.front();
    text.remove_prefix(1);
    if (text.starts_with('-') || text.starts_with('+')) {
      out += text.front();
      text.remove_prefix(1);
    }
    const std::string_view exponent = take_digits(text);
    if (exponent.empty()) return std::nullopt;
    out += exponent;
  }
  if (!text.empty()) return std::nullopt;
  return out;
}

bool is_infinite_or_nan(std::string_view text) {
  if (one_of(text, {".nan", ".NaN", ".NAN"})) return true;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return one_of(text, {".inf", ".Inf", ".INF"});
}

// Whether a word of it sounds secret.
bool mentions_secret(std::string_view text) {
  const auto is_separator = [](char c) {
    return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' &&
           c != '-' && c != '.';
  };
  while (!text.empty()) {
    const auto end = std::ranges::find_if(text, is_separator);
    const auto length = static_cast<std::size_t>(end - text.begin());
    if (sounds_secret(text.substr(0, length))) return true;
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return false;
}

class JsonWriter {
 public:
  explicit JsonWriter(Secrets secrets) : secrets_(secrets) {}

  bool write(const Node& node) {
    switch (node.kind) {
      case Node::Kind::kNull:
        out_ += "null";
        return true;
      case Node::Kind::kScalar:
        return write_scalar(node);
      case Node::Kind::kList:
        return write_list(node);
      case Node::Kind::kMap:
        return write_map(node);
    }
    return false;
  }

  std::string take() { return std::move(out_); }
  JsonFailure failure() { return std::move(failure_); }

 private:
  bool fail(const Node& node, Complaint complaint) {
    failure_ = {.mark = node.mark, .complaint = std::move(complaint)};
    return false;
  }

  bool write_scalar(const Node& node) {
    // What is redacted was expanded when it was read; a ${ that is left in it is meant literally.
    const Parsed<std::string> text =
        secrets_ == Secrets::kRedacted ? escape_variables(node.text) : expand_variables(node.text);
    if (!text) return fail(node, text.error());
    const auto digits = node.quoted ? std::nullopt : number(*text);
    if (digits) {
      out_ += *digits;
    } else if (!node.quoted && one_of(*text, {"", "~", "null", "Null", "NULL"})) {
      out_ += "null";
    } else if (!node.quoted && one_of(*text, {"true", "True", "TRUE"})) {
      out_ += "true";
    } else if (!node.quoted && one_of(*text, {"false", "False", "FALSE"})) {
      out_ += "false";
    } else if (!node.quoted && is_infinite_or_nan(*text)) {
      return fail(
          node, {concat(*text, " cannot be written in JSON"), concat("quote it: \"", *text, "\"")});
    } else {
      append_json_string(out_, *text);
    }
    return true;
  }

  bool write_list(const Node& node) {
    out_ += '[';
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      if (i > 0) out_ += ',';
      if (!write(node.items[i])) return false;
    }
    out_ += ']';
    return true;
  }

  bool write_map(const Node& node) {
    out_ += '{';
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      if (i > 0) out_ += ',';
      append_json_string(out_, node.keys[i].text);
      out_ += ':';
      if (secrets_ == Secrets::kRedacted && sounds_secret(node.keys[i].text)) {
        out_ += "\"***\"";
      } else if (!write(node.items[i])) {
        return false;
      }
    }
    out_ += '}';
    return true;
  }

  Secrets secrets_;
  std::string out_;
  JsonFailure failure_;
};

}  // namespace

std::expected<std::string, JsonFailure> to_json(const Node& node, Secrets secrets) {
  JsonWriter writer(secrets);
  if (!writer.write(node)) return std::unexpected(writer.failure());
  return writer.take();
}

bool sounds_secret(std::string_view key) {
  static constexpr std::array<std::string_view, 10> kWords = {
      "password", "passwd",     "passphrase",    "secret", "token",
      "apikey",   "privatekey", "authorization", "cookie", "credential"};
  static constexpr std::array<std::string_view, 3> kEndings = {"_key", "-key", ".key"};
  std::string lower(key);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return lower == "key" ||
         std::ranges::any_of(kWords, [&](std::string_view word) { return lower.contains(word); }) ||
         std::ranges::any_of(kEndings,
                             [&](std::string_view ending) { return lower.ends_with(ending); });
}

std::string redact_payload(std::string_view payload) {
  const std::size_t begin = std::min(payload.find_first_not_of(" \t\r\n"), payload.size());
  if (const std::string_view text = payload.substr(begin);
      text.starts_with('{') || text.starts_with('[')) {
    Problems ignored;
    const std::uint32_t file = ignored.add_file("");
    const auto tree = parse_yaml(payload, file, ignored);
    if (tree && !ignored.has_errors()) {
      if (auto json = to_json(*tree, Secrets::kRedacted)) return *json;
    }
  }
  if (mentions_secret(payload)) return "\"***\"";
  std::string out;
  append_json_string(out, escape_variables(std::string(payload)));
  return out;
}

}  // namespace heddle::config
