// Reading and writing of the message service's JSON: raw bytes inside, base64 and hex outside.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "messaging/outcome.h"
#include "messaging/types.h"

namespace heddle::messaging {

// The object that a body is; 400 otherwise.
Outcome<boost::json::object> parse_object(std::string_view body);

// Members of a request; 400 naming the member when it is missing or of another form.
Outcome<std::string> text_member(const boost::json::object& object, std::string_view name);
Outcome<std::string> key_member(const boost::json::object& object, std::string_view name);
// 16 bytes in hex.
std::optional<std::string> parse_channel_id(std::string_view hex);

std::string time_text(std::int64_t ms);
boost::json::object describe(const StoredMessage& message);
// {"error":{"code","message","plugin"?}}
boost::json::object describe(const Refusal& refusal);

}  // namespace heddle::messaging
