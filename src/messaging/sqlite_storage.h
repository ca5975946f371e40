// Storage in one SQLite file: WAL, synchronous FULL, one thread that writes with group commit, two
// that read.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "messaging/storage.h"

namespace heddle::messaging {

// Opens or makes the file. The error names it.
Result<std::unique_ptr<Storage>> make_sqlite_storage(const std::string& path, const Quota& quota,
                                                     Log& log, metrics::Registry& metrics);

}  // namespace heddle::messaging
