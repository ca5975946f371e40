#include "base/json_check.h"

#include <boost/json/basic_parser_impl.hpp>
#include <limits>

namespace heddle {
namespace {

namespace json = boost::json;

// Takes every event and keeps nothing; the names are Boost's.
struct Ignore {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  using Text = json::string_view;
  using Failure = boost::system::error_code;
  bool on_document_begin(Failure& /*e*/) { return true; }
  bool on_document_end(Failure& /*e*/) { return true; }
  bool on_array_begin(Failure& /*e*/) { return true; }
  bool on_array_end(std::size_t /*n*/, Failure& /*e*/) { return true; }
  bool on_object_begin(Failure& /*e*/) { return true; }
  bool on_object_end(std::size_t /*n*/, Failure& /*e*/) { return true; }
  bool on_string_part(Text /*part*/, std::size_t /*n*/, Failure& /*e*/) { return true; }
  bool on_string(Text /*part*/, std::size_t /*n*/, Failure& /*e*/) { return true; }
  bool on_key_part(Text /*part*/, std::size_t /*n*/, Failure& /*e*/) { return true; }
  bool on_key(Text /*part*/, std::size_t /*n*/, Failure& /*e*/) { return true; }
  bool on_number_part(Text /*part*/, Failure& /*e*/) { return true; }
  bool on_int64(std::int64_t /*value*/, Text /*part*/, Failure& /*e*/) { return true; }
  bool on_uint64(std::uint64_t /*value*/, Text /*part*/, Failure& /*e*/) { return true; }
  bool on_double(double /*value*/, Text /*part*/, Failure& /*e*/) { return true; }
  bool on_bool(bool /*value*/, Failure& /*e*/) { return true; }
  bool on_null(Failure& /*e*/) { return true; }
  bool on_comment_part(Text /*part*/, Failure& /*e*/) { return true; }
  bool on_comment(Text /*part*/, Failure& /*e*/) { return true; }
};

}  // namespace

std::optional<JsonFault> check_json(std::string_view text, std::size_t max_depth) {
  json::basic_parser<Ignore> parser(json::parse_options{.max_depth = max_depth});
  boost::system::error_code error;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (error) return JsonFault{error.message(), read};
  if (read != text.size()) return JsonFault{"extra data", read};
  return std::nullopt;
}

}  // namespace heddle
