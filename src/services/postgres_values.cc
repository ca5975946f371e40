#include "services/postgres_values.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>
#include <type_traits>
#include <variant>

#include "services/crypto.h"

namespace heddle::services {
namespace {

// pg_type.dat
enum Type : Oid {
  kBool = 16,
  kBytea = 17,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kOid = 26,
  kJson = 114,
  kFloat4 = 700,
  kFloat8 = 701,
  kJsonb = 3802,
};

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return (c | 0x20) - 'a' + 10;
}

// "\x0aff", the only form since bytea_output is hex.
std::string from_hex(std::string_view text) {
  if (!text.starts_with("\\x")) return std::string(text);
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 2; i + 1 < text.size(); i += 2) {
    out += static_cast<char>(nibble(text[i]) << 4 | nibble(text[i + 1]));
  }
  return out;
}

template <typename Number>
SqlValue number_of(std::string_view text) {
  Number number{};
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong != std::errc() || end != text.data() + text.size()) return std::string(text);
  return number;
}

ErrorKind kind_of(std::string_view state) {
  if (state == "08P01") return ErrorKind::kInvalidArgument;  // wrong number of parameters
  if (state.empty() || state.starts_with("08") || state.starts_with("57P") || state == "53300") {
    return ErrorKind::kUnavailable;
  }
  if (state.starts_with("23")) return ErrorKind::kConflict;
  if (state == "42501" || state == "25006") return ErrorKind::kPermission;
  if (state == "57014" || state == "55P03") return ErrorKind::kTimeout;
  if (state.starts_with("53") || state.starts_with("54")) return ErrorKind::kLimit;
  if (state.starts_with("58")) return ErrorKind::kIo;
  return ErrorKind::kInvalidArgument;
}

}  // namespace

std::optional<std::string> postgres_parameter(const SqlValue& value) {
  return std::visit(
      [](const auto& v) -> std::optional<std::string> {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return std::nullopt;
        } else if constexpr (std::is_same_v<T, bool>) {
          return v ? "true" : "false";
        } else if constexpr (std::is_same_v<T, SqlBlob>) {
          return "\\x" + hex_of(v.bytes);
        } else if constexpr (std::is_same_v<T, SqlJson>) {
          return v.text;
        } else if constexpr (std::is_same_v<T, std::string>) {
          return v;
        } else {
          return fmt::format("{}", v);
        }
      },
      value);
}

SqlValue postgres_value(const PGresult* result, int row, int column) {
  if (PQgetisnull(result, row, column) != 0) return std::monostate{};
  const std::string_view text(PQgetvalue(result, row, column),
                              static_cast<std::size_t>(PQgetlength(result, row, column)));
  switch (PQftype(result, column)) {
    case kBool:
      return text == "t";
    case kInt2:
    case kInt4:
    case kInt8:
    case kOid:
      return number_of<std::int64_t>(text);
    case kFloat4:
    case kFloat8:
      return number_of<double>(text);
    case kBytea:
      return SqlBlob{from_hex(text)};
    case kJson:
    case kJsonb:
      return SqlJson{std::string(text)};
    default:
      return std::string(text);
  }
}

std::string postgres_state(const PGresult* result) {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return state == nullptr ? std::string() : std::string(state);
}

std::string postgres_words(const char* message) {
  std::string out = message == nullptr ? "" : message;
  while (out.ends_with('\n')) out.pop_back();
  for (char& c : out) {
    if (c == '\n') c = ' ';
  }
  return out;
}

Error postgres_error(const PGresult* result, const PGconn* connection) {
  const std::string state = postgres_state(result);
  if (state.empty()) {
    return {ErrorKind::kUnavailable, fmt::format("the connection to the database broke ({})",
                                                 postgres_words(PQerrorMessage(connection)))};
  }
  if (state == "57014") {
    return {ErrorKind::kTimeout, "the statement took longer than its time-out (sql.timeout)"};
  }
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return {kind_of(state), postgres_words(primary)};
}

}  // namespace heddle::services
