#include "services/sql_placeholders.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace heddle::services {
namespace {

constexpr auto kNone = std::string_view::npos;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::size_t after(std::string_view text, std::string_view what, std::size_t from) {
  const std::size_t found = text.find(what, from);
  return found == kNone ? text.size() : found + what.size();
}

// 'it''s' and "a ""name"""; with backslashes in E'…'.
std::size_t quoted_end(std::string_view text, std::size_t start) {
  const char quote = text[start];
  const bool escapes = quote == '\'' && start > 0 && (text[start - 1] | 0x20) == 'e' &&
                       (start == 1 || !is_word(text[start - 2]));
  for (std::size_t i = start + 1; i < text.size(); ++i) {
    if (escapes && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (i + 1 == text.size() || text[i + 1] != quote) return i + 1;
      ++i;
    }
  }
  return text.size();
}

// /* … */, which nests.
std::size_t comment_end(std::string_view text, std::size_t start) {
  int depth = 0;
  for (std::size_t i = start; i + 1 < text.size(); ++i) {
    if (text.substr(i, 2) == "/*") {
      ++depth;
      ++i;
    } else if (text.substr(i, 2) == "*/") {
      ++i;
      if (--depth == 0) return i + 1;
    }
  }
  return text.size();
}

// $$ … $$ and $tag$ … $tag$; `start` when it is none.
std::size_t dollar_quote_end(std::string_view text, std::size_t start) {
  if (start > 0 && is_word(text[start - 1])) return start;
  std::size_t end = start + 1;
  while (end < text.size() && is_word(text[end])) ++end;
  if (end == text.size() || text[end] != '$' || is_digit(text[start + 1])) return start;
  const std::string_view tag = text.substr(start, end + 1 - start);
  return after(text, tag, end + 1);
}

// The end of what stands at `at` and holds no placeholder; `at` when it is code.
std::size_t opaque_end(std::string_view text, std::size_t at) {
  switch (text[at]) {
    case '\'':
    case '"':
      return quoted_end(text, at);
    case '-':
      return text.substr(at, 2) == "--" ? after(text, "\n", at) : at;
    case '/':
      return text.substr(at, 2) == "/*" ? comment_end(text, at) : at;
    case '$':
      return dollar_quote_end(text, at);
    default:
      return at;
  }
}

}  // namespace

std::string numbered_placeholders(std::string_view statement) {
  std::string out;
  out.reserve(statement.size() + 8);
  std::size_t count = 0;
  for (std::size_t i = 0; i < statement.size();) {
    if (const std::size_t end = opaque_end(statement, i); end > i) {
      out += statement.substr(i, end - i);
      i = end;
      continue;
    }
    if (statement[i] == '$' && i + 1 < statement.size() && is_digit(statement[i + 1]) &&
        (i == 0 || !is_word(statement[i - 1]))) {
      return std::string(statement);
    }
    if (statement[i] == '?') {
      out += '$' + std::to_string(++count);
    } else {
      out += statement[i];
    }
    ++i;
  }
  return out;
}

}  // namespace heddle::services
