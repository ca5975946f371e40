// The public Json is a boost::json::value in a coat: the same bytes under another name, so that
// members and host methods' params are passed on without a copy.
#pragma once

#include <boost/json/value.hpp>
#include <utility>

#include "heddle/json.h"

namespace heddle::v1 {

struct JsonAccess {
  static boost::json::value& of(Json& json) {
    return *std::launder(reinterpret_cast<boost::json::value*>(&json.storage_));
  }
  static const boost::json::value& of(const Json& json) {
    return *std::launder(reinterpret_cast<const boost::json::value*>(&json.storage_));
  }
  static const Json& view(const boost::json::value& value) {
    return *reinterpret_cast<const Json*>(&value);
  }
  static Json wrap(boost::json::value&& value) {
    Json out;
    of(out) = std::move(value);
    return out;
  }
};

static_assert(sizeof(Json) == sizeof(boost::json::value));
static_assert(alignof(Json) == alignof(boost::json::value));

}  // namespace heddle::v1
