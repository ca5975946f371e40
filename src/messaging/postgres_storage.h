// Storage in PostgreSQL, which several servers may share: one thread that writes with group commit,
// four that read, one that takes turns with other servers; a connection each.
#pragma once

#include <memory>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "messaging/postgres_session.h"
#include "messaging/storage.h"

namespace heddle::messaging {

// Makes the schema where it is missing. The error names the database, without its password.
Result<std::unique_ptr<Storage>> make_postgres_storage(const PostgresSession::Target& target,
                                                       const Quota& quota, Log& log,
                                                       metrics::Registry& metrics);

}  // namespace heddle::messaging
