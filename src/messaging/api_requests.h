// The requests of the message API that have a form of their own. 400 with what is wrong, otherwise.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "messaging/service.h"

namespace heddle::messaging {

// {recipient_key, channel_id, text or payload, involved_files?, sealed?, client_message_id?}
Outcome<SendRequest> parse_message(const boost::json::object& body);
// {messages: […]}, 1 to `max` of them; each by itself is right or not.
Outcome<std::vector<Outcome<SendRequest>>> parse_batch(const boost::json::object& body,
                                                       std::size_t max);
// after, channel, limit, wait (seconds, or with a unit: 500ms, 20s)
Outcome<FetchRequest> parse_fetch(const std::string& query, const config::Messaging& settings);
// {up_to}
Outcome<std::uint64_t> parse_up_to(const boost::json::object& body);

}  // namespace heddle::messaging
