// The services as contracts get them. Null: not offered here (tools without a server). Whoever made
// them keeps them longer than the contracts.
#pragma once

namespace heddle::services {

class EventBus;
class KeyValue;
class OutboundHttp;
class Sql;
class UserAuth;

struct Services {
  Sql* sql = nullptr;
  KeyValue* state = nullptr;
  OutboundHttp* http = nullptr;
  UserAuth* auth = nullptr;
  EventBus* events = nullptr;
};

}  // namespace heddle::services
