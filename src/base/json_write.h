// JSON as a person writes it.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>

namespace heddle {

// boost::json::serialize(), but fractions read as they are usually written: 0.25, where Boost
// writes 2.5E-1. The shortest digits that give the same double; a whole one keeps its ".0". What
// is no number in JSON (RFC 8259 section 6: infinities, NaN) is null.
std::string write_json(const boost::json::value& value);
std::string write_json(const boost::json::object& object);

}  // namespace heddle
