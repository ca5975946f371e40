// JSON as a person writes it.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>

namespace heddle {

// Without white space. A double is written with the shortest digits that give the same one, as 0.25
// (boost::json::serialize() writes 2.5E-1); a whole one keeps its ".0". What is no number in JSON
// (RFC 8259 section 6: infinities, NaN) is null; bytes that are not UTF-8 become U+FFFD.
std::string write_json(const boost::json::value& value);
std::string write_json(const boost::json::object& object);

}  // namespace heddle
