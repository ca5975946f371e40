#include "services/sql_json.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cmath>
#include <type_traits>
#include <utility>

#include "base/json_parse.h"
#include "base/json_write.h"
#include "base/log.h"
#include "services/crypto.h"

namespace heddle::services {
namespace {

namespace json = boost::json;

Result<SqlValue> value_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return SqlValue(std::monostate{});
    case json::kind::bool_:
      return SqlValue(value.get_bool());
    case json::kind::int64:
      return SqlValue(value.get_int64());
    case json::kind::uint64:  // only what does not fit into an int64
      return fail(
          ErrorKind::kInvalidArgument,
          fmt::format("parameter {} is beyond the whole numbers of SQL", value.get_uint64()));
    case json::kind::double_:
      return SqlValue(value.get_double());
    case json::kind::string:
      return SqlValue(std::string(value.get_string()));
    default:
      break;
  }
  if (const json::object* object = value.if_object(); object != nullptr && object->size() == 1) {
    if (const json::value* bytes = object->if_contains("$bytes")) {
      auto decoded = bytes->is_string() ? from_base64(bytes->get_string()) : std::nullopt;
      if (!decoded) return fail(ErrorKind::kInvalidArgument, "$bytes of a parameter is not base64");
      return SqlValue(SqlBlob{std::move(*decoded)});
    }
  }
  return SqlValue(SqlJson{write_json(value)});
}

Result<std::vector<SqlValue>> values_of(const json::value& value) {
  std::vector<SqlValue> out;
  if (value.is_null()) return out;
  if (!value.is_array()) {
    return fail(ErrorKind::kInvalidArgument, "the parameters of SQL are not a JSON array");
  }
  out.reserve(value.get_array().size());
  for (const json::value& each : value.get_array()) {
    auto one = value_of(each);
    if (!one) return std::unexpected(std::move(one.error()));
    out.push_back(std::move(*one));
  }
  return out;
}

void append_number(std::string& out, double number) {
  // JSON has no words for infinity and NaN.
  std::string text = std::isfinite(number) ? fmt::format("{}", number) : "null";
  // Still a number with a fraction to those who tell them apart.
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  out += text;
}

void append(std::string& out, const SqlValue& value) {
  std::visit(
      [&out](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          out += "null";
        } else if constexpr (std::is_same_v<T, bool>) {
          out += v ? "true" : "false";
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          fmt::format_to(std::back_inserter(out), "{}", v);
        } else if constexpr (std::is_same_v<T, double>) {
          append_number(out, v);
        } else if constexpr (std::is_same_v<T, SqlBlob>) {
          out += '"' + base64_of(v.bytes) + '"';
        } else if constexpr (std::is_same_v<T, SqlJson>) {
          out += v.text;
        } else {
          append_json_string(out, v);
        }
      },
      value);
}

}  // namespace

Result<std::vector<SqlValue>> sql_parameters(std::string_view text) {
  if (text.empty()) return std::vector<SqlValue>();
  boost::system::error_code wrong;
  const json::value value = parse_json(text, wrong);
  if (wrong) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("the parameters of SQL are not JSON ({})", wrong.message()));
  }
  return values_of(value);
}

Result<void> read_sql_call(std::string_view text, SqlRequest& request) {
  request.statement = std::string(text);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') return {};
  boost::system::error_code wrong;
  const json::value value = parse_json(text, wrong);
  const json::object* call = wrong ? nullptr : value.if_object();
  const json::value* sql = call == nullptr ? nullptr : call->if_contains("sql");
  if (sql == nullptr || !sql->is_string()) {
    return fail(ErrorKind::kInvalidArgument,
                "the call is neither a statement nor {\"sql\":…,\"params\":[…]}");
  }
  request.statement = std::string(sql->get_string());
  const json::value* parameters = call->if_contains("params");
  if (parameters == nullptr) return {};
  auto values = values_of(*parameters);
  if (!values) return std::unexpected(std::move(values.error()));
  request.parameters = std::move(*values);
  return {};
}

std::string sql_rows_json(const SqlResult& result) {
  std::vector<std::string> keys;
  keys.reserve(result.columns.size());
  for (const std::string& column : result.columns) {
    append_json_string(keys.emplace_back(), column);
    keys.back() += ':';
  }
  std::string out = R"({"rows":[)";
  for (std::size_t i = 0; i < result.rows.size(); ++i) {
    out += i == 0 ? "{" : ",{";
    for (std::size_t column = 0; column < keys.size(); ++column) {
      if (column > 0) out += ',';
      out += keys[column];
      append(out, result.rows[i][column]);
    }
    out += '}';
  }
  out += R"(],"error":null})";
  return out;
}

std::string sql_error_json(const Error& error) {
  std::string out = R"({"rows":[],"error":)";
  append_json_string(out, error.message);
  return out + "}";
}

}  // namespace heddle::services
