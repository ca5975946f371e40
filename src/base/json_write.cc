#include "base/json_write.h"

#include <fmt/format.h>

#include <boost/json/visit.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "base/log.h"

namespace heddle {
namespace {

namespace json = boost::json;

class Writer {
 public:
  void operator()(std::nullptr_t) { out_ += "null"; }
  void operator()(bool value) { out_ += value ? "true" : "false"; }
  void operator()(std::int64_t number) { fmt::format_to(std::back_inserter(out_), "{}", number); }
  void operator()(std::uint64_t number) { fmt::format_to(std::back_inserter(out_), "{}", number); }
  void operator()(double number) {
    if (!std::isfinite(number)) return (*this)(nullptr);
    const std::size_t begin = out_.size();
    fmt::format_to(std::back_inserter(out_), "{}", number);
    if (out_.find_first_of(".e", begin) == std::string::npos) out_ += ".0";
  }
  void operator()(const json::string& text) { append_json_string(out_, text); }
  // NOLINTNEXTLINE(misc-no-recursion): as deep as the value, which a parser's limit or code made
  void operator()(const json::array& array) {
    out_ += '[';
    for (const json::value& item : array) {
      if (&item != array.begin()) out_ += ',';
      json::visit(*this, item);
    }
    out_ += ']';
  }
  // NOLINTNEXTLINE(misc-no-recursion): as deep as the value, which a parser's limit or code made
  void operator()(const json::object& object) {
    out_ += '{';
    for (const json::key_value_pair& member : object) {
      if (&member != object.begin()) out_ += ',';
      append_json_string(out_, member.key());
      out_ += ':';
      json::visit(*this, member.value());
    }
    out_ += '}';
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace

std::string write_json(const json::value& value) {
  Writer writer;
  json::visit(writer, value);
  return writer.take();
}

std::string write_json(const json::object& object) {
  Writer writer;
  writer(object);
  return writer.take();
}

}  // namespace heddle
