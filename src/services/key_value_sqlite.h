// The state of plugins in one SQLite file. Calls that come together share a transaction, so that a
// thousand of them cost one write to the disk; each is answered when that transaction is on it.
#pragma once

#include <memory>
#include <string>

#include "services/key_value.h"

namespace heddle::net {
class BlockingPool;
}

namespace heddle::services {

// The file is opened at the first call, and again after an I/O error. `pool` runs what was
// submitted before it goes, and outlives this.
std::unique_ptr<KeyValue> make_sqlite_key_value(std::string path, const KeyValueLimits& limits,
                                                net::BlockingPool& pool);

}  // namespace heddle::services
