// The state of plugins in Redis, so that several servers share it: for each plugin a hash of
// values, a sorted set of keys, and a count of bytes, under `heddle:state:{plugin}:`. Changes are
// scripts, so that the three agree and the limit holds.
#pragma once

#include <memory>

#include "services/key_value.h"
#include "services/redis_connection.h"

namespace heddle::services {

// Each worker has a connection of its own. `pool` outlives this and ends before the workers.
std::unique_ptr<KeyValue> make_redis_key_value(RedisAddress address, const KeyValueLimits& limits,
                                               net::BlockingPool& pool);

}  // namespace heddle::services
