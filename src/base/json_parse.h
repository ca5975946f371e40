// JSON values of texts from outside, which can be written as JSON again.
#pragma once

#include <boost/json/parse_options.hpp>
#include <boost/json/storage_ptr.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <string_view>

namespace heddle {

// boost::json::parse() and keep_to_doubles().
boost::json::value parse_json(std::string_view text, boost::system::error_code& error,
                              boost::json::storage_ptr memory = {},
                              const boost::json::parse_options& options = {});

// Numbers beyond a double's range become the nearest double (RFC 8259 section 6 leaves range and
// precision to the reader). Boost reads 1e400 as infinity and 0e400 as no number at all, and writes
// them as words that are no JSON.
void keep_to_doubles(boost::json::value& value);

}  // namespace heddle
