// Reading the params of host methods.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::json_rpc {

// An object's members by name; the first that is missing or of another type is remembered.
class Params {
 public:
  explicit Params(const boost::json::value& value) : object_(value.if_object()) {}

  std::string text(std::string_view name);                          // must be there
  std::string text(std::string_view name, std::string_view other);  // may be absent or null
  std::int64_t number(std::string_view name, std::int64_t other, std::int64_t least,
                      std::int64_t most);
  const boost::json::value* value(std::string_view name) const;  // null: absent

  bool ok() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }

 private:
  void complain(std::string_view name, std::string_view what);

  const boost::json::object* object_;
  std::string problem_;
};

}  // namespace heddle::json_rpc
