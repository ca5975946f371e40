#include "services/sqlite_functions.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/sqlite_handle.h"

namespace heddle::services {
namespace {

struct ValueFree {
  void operator()(sqlite3_value* value) const { sqlite3_value_free(value); }
};
using Value = std::unique_ptr<sqlite3_value, ValueFree>;

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80;
}

// Nothing for NULL.
std::optional<std::string_view> text_of(sqlite3_value* value) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  if (text == nullptr) return std::nullopt;
  return std::string_view(text, static_cast<std::size_t>(sqlite3_value_bytes(value)));
}

std::string_view blob_of(sqlite3_value* value) {
  const auto* bytes = static_cast<const char*>(sqlite3_value_blob(value));
  return {bytes, static_cast<std::size_t>(sqlite3_value_bytes(value))};
}

void give(sqlite3_context* context, std::string_view text) {
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

// In linear time.
std::size_t position_of(std::string_view in, std::string_view what, std::size_t from) {
  if (what.size() > in.size() - from) return std::string_view::npos;
  const void* found = memmem(in.data() + from, in.size() - from, what.data(), what.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - in.data());
}

std::size_t first_character(std::string_view text) {
  std::size_t end = 1;
  if (static_cast<unsigned char>(text.front()) < 0xC0) return end;
  while (end < text.size() && continues_character(text[end])) ++end;
  return end;
}

std::size_t last_character(std::string_view text) {
  std::size_t start = text.size() - 1;
  while (start > 0 && continues_character(text[start])) --start;
  return text.size() - start;
}

// What trim() takes away, as sorted characters.
class Characters {
 public:
  explicit Characters(std::string_view text) {
    while (!text.empty()) {
      all_.push_back(text.substr(0, first_character(text)));
      text.remove_prefix(all_.back().size());
    }
    std::ranges::sort(all_);
  }
  bool contain(std::string_view one) const { return std::ranges::binary_search(all_, one); }

 private:
  std::vector<std::string_view> all_;
};

enum Sides : std::uint8_t { kLeft = 1, kRight = 2, kBoth = 3 };

template <Sides kSides>
void trim(sqlite3_context* context, int count, sqlite3_value** values) {
  const auto from = text_of(values[0]);
  const auto wanted = count == 2 ? text_of(values[1]) : std::string_view(" ");
  if (!from || !wanted) return;
  const Characters characters(*wanted);
  std::string_view text = *from;
  while ((kSides & kLeft) != 0 && !text.empty() &&
         characters.contain(text.substr(0, first_character(text)))) {
    text.remove_prefix(first_character(text));
  }
  while ((kSides & kRight) != 0 && !text.empty() &&
         characters.contain(text.substr(text.size() - last_character(text)))) {
    text.remove_suffix(last_character(text));
  }
  give(context, text);
}

void replace(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  const auto text = text_of(values[0]);
  const auto pattern = text_of(values[1]);
  if (!text || !pattern) return;
  if (pattern->empty()) return sqlite3_result_value(context, values[0]);
  const auto by = text_of(values[2]);
  if (!by) return;
  sqlite3* const database = sqlite3_context_db_handle(context);
  const auto limit = static_cast<std::size_t>(sqlite3_limit(database, SQLITE_LIMIT_LENGTH, -1));
  std::string out;
  std::size_t at = 0;
  for (;;) {
    const std::size_t found = position_of(*text, *pattern, at);
    out += text->substr(at, found == std::string_view::npos ? found : found - at);
    if (found == std::string_view::npos) break;
    out += *by;
    if (out.size() > limit) return sqlite3_result_error_toobig(context);
    at = found + pattern->size();
  }
  if (out.size() > limit) return sqlite3_result_error_toobig(context);
  give(context, out);
}

// Counts bytes in a blob, characters in a text; 0: it does not occur.
std::int64_t place_of(std::string_view in, std::string_view what, bool is_text) {
  if (what.empty()) return 1;
  // What begins within a character stands nowhere but at the start.
  if (is_text && continues_character(what.front())) return in.starts_with(what) ? 1 : 0;
  const std::size_t found = position_of(in, what, 0);
  if (found == std::string_view::npos) return 0;
  if (!is_text) return static_cast<std::int64_t>(found) + 1;
  return 1 +
         std::ranges::count_if(in.substr(1, found), [](char c) { return !continues_character(c); });
}

void instr(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  const int in = sqlite3_value_type(values[0]);
  const int what = sqlite3_value_type(values[1]);
  if (in == SQLITE_NULL || what == SQLITE_NULL) return;
  if (in == SQLITE_BLOB && what == SQLITE_BLOB) {
    return sqlite3_result_int64(context, place_of(blob_of(values[0]), blob_of(values[1]), false));
  }
  // Copies, as a blob that is read as a text would be one from then on.
  const Value text(sqlite3_value_dup(values[0]));
  const Value part(sqlite3_value_dup(values[1]));
  if (!text || !part) return sqlite3_result_error_nomem(context);
  const auto hay = text_of(text.get());
  const auto needle = text_of(part.get());
  if (!hay || !needle) return;
  sqlite3_result_int64(context, place_of(*hay, *needle, true));
}

using Function = void (*)(sqlite3_context*, int, sqlite3_value**);

template <Function kFunction>
void call(sqlite3_context* context, int count, sqlite3_value** values) {
  const auto& must_stop = *static_cast<const std::function<bool()>*>(sqlite3_user_data(context));
  if (must_stop()) return sqlite3_result_error_code(context, SQLITE_INTERRUPT);
  kFunction(context, count, values);
}

struct Row {
  const char* name;
  int arguments;
  Function function;
};
constexpr Row kFunctions[] = {
    {"trim", 1, &call<&trim<kBoth>>},   {"trim", 2, &call<&trim<kBoth>>},
    {"ltrim", 1, &call<&trim<kLeft>>},  {"ltrim", 2, &call<&trim<kLeft>>},
    {"rtrim", 1, &call<&trim<kRight>>}, {"rtrim", 2, &call<&trim<kRight>>},
    {"replace", 3, &call<&replace>},    {"instr", 2, &call<&instr>},
};

}  // namespace

Result<void> set_linear_functions(sqlite3* database, const std::function<bool()>& must_stop) {
  constexpr int kFlags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
  auto* const context = const_cast<std::function<bool()>*>(&must_stop);  // SQLite keeps no const
  for (const Row& row : kFunctions) {
    if (sqlite3_create_function_v2(database, row.name, row.arguments, kFlags, context, row.function,
                                   nullptr, nullptr, nullptr) != SQLITE_OK) {
      return std::unexpected(sqlite_error(database));
    }
  }
  return {};
}

}  // namespace heddle::services
